//! What the windows gain by the readings of a micro-batch.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    position::DeviceId,
    reading::Reading,
    rollup::{Partial, RollupKey, RollupRow, window_start},
    stream::StreamProfile,
};
use smallvec::SmallVec;

/// Partials of all measures by device, group and window, and the newest event time of each device.
#[derive(Debug)]
pub struct RollupBuffer {
    lengths: Lengths,
    /// Where in a reading's tags those of the roll-ups stand.
    tag_places: Vec<Option<usize>>,
    measures: usize,
    /// By the device's number in the batch.
    devices: Vec<DeviceRollups>,
    /// Reused for the name of each reading's group.
    group: String,
}

/// Lengths of windows in seconds. A window that shorter ones fill exactly is the sum of them, so most readings count in
/// one window only.
#[derive(Debug)]
struct Lengths {
    counted: SmallVec<[u32; 2]>,
    /// With the place in `counted` of what they are summed from.
    summed: SmallVec<[(u32, usize); 2]>,
}

#[derive(Debug)]
struct DeviceRollups {
    newest: DateTime<Utc>,
    /// The windows of a profile without roll-up tags, whose only group has no name. They are not looked up by it: to
    /// compare empty texts, which point nowhere, took a twelfth of all time.
    ungrouped: LengthWindows,
    groups: BTreeMap<Box<str>, LengthWindows>,
}

/// Windows of each counted length.
type LengthWindows = SmallVec<[Windows; 1]>;

/// Windows of one length; neighbouring readings mostly fall into the same one.
#[derive(Debug, Default)]
struct Windows {
    open: Option<Window>,
    left: BTreeMap<DateTime<Utc>, Box<[Partial]>>,
}

#[derive(Debug)]
struct Window {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    partials: Box<[Partial]>,
}

impl RollupBuffer {
    /// An empty one for readings of this profile.
    #[must_use]
    pub fn new(profile: &StreamProfile) -> Self {
        let place = |name: &String| profile.tags.iter().position(|tag| tag == name);
        Self {
            lengths: Lengths::of(&profile.rollup_windows_secs),
            tag_places: profile.rollup_tags.iter().map(place).collect(),
            measures: profile.measures.len(),
            devices: Vec::new(),
            group: String::new(),
        }
    }

    /// Counts a reading of the device of this number, unless it repeats an earlier one; a repeated one still shows that
    /// its device is alive. A number that is new is the next one.
    pub fn add(&mut self, device: u32, reading: &Reading, counts: bool) {
        let place = device as usize;
        if place >= self.devices.len() {
            let (newest, lengths) = (reading.event_time, &self.lengths);
            let fresh = || DeviceRollups { newest, ungrouped: lengths.no_windows(), groups: BTreeMap::new() };
            self.devices.resize_with(place + 1, fresh);
        }
        let Some(device) = self.devices.get_mut(place) else { return };
        device.newest = device.newest.max(reading.event_time);
        if !counts {
            return;
        }
        let windows = if self.tag_places.is_empty() {
            &mut device.ungrouped
        } else {
            group_of(reading, &self.tag_places, &mut self.group);
            if !device.groups.contains_key(self.group.as_str()) {
                device.groups.insert(self.group.as_str().into(), self.lengths.no_windows());
            }
            let Some(windows) = device.groups.get_mut(self.group.as_str()) else { return };
            windows
        };
        for (&secs, windows) in self.lengths.counted.iter().zip(windows) {
            let partials = windows.at(reading.event_time, secs, self.measures);
            for (partial, value) in partials.iter_mut().zip(&reading.measures) {
                if let Some(value) = value {
                    partial.merge(&Partial::of(*value));
                }
            }
        }
    }

    /// The rows, ordered by key, and the devices, ordered by id. `names` are the devices by their numbers. A measure
    /// without a value has no row.
    #[must_use]
    pub fn finish(
        self,
        profile: &StreamProfile,
        names: &[DeviceId],
    ) -> (Vec<RollupRow>, Vec<(DeviceId, DateTime<Utc>)>) {
        // Rows come in the order of their keys, as far as that is cheap: to compare texts is what sorting them takes.
        let mut by_name: Vec<_> = names.iter().zip(self.devices).collect();
        by_name.sort_unstable_by_key(|(name, _)| *name);
        let mut measures: Vec<_> = profile.measures.iter().map(|measure| &measure.name).enumerate().collect();
        measures.sort_unstable_by_key(|(_, name)| *name);
        let mut rows = Vec::new();
        let mut devices = Vec::with_capacity(by_name.len());
        for (device, rollups) in by_name {
            for (group, windows) in rollups.groups.into_iter().chain([(Box::default(), rollups.ungrouped)]) {
                for (window_secs, window_start, partials) in self.lengths.all(windows) {
                    let values = measures.iter().map(|&(at, name)| (name, partials[at]));
                    for (measure, partial) in values.filter(|(_, partial)| partial.count > 0) {
                        let key = RollupKey {
                            device: device.clone(),
                            window_secs,
                            window_start,
                            measure: measure.clone(),
                            group: group.clone().into(),
                        };
                        rows.push(RollupRow { key, partial });
                    }
                }
            }
            devices.push((device.clone(), rollups.newest));
        }
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        (rows, devices)
    }
}

impl Lengths {
    fn of(ascending: &[u32]) -> Self {
        let mut lengths = Self { counted: SmallVec::new(), summed: SmallVec::new() };
        for &secs in ascending {
            match lengths.counted.iter().rposition(|shorter| secs.is_multiple_of(*shorter)) {
                Some(shorter) => lengths.summed.push((secs, shorter)),
                None => lengths.counted.push(secs),
            }
        }
        lengths
    }

    fn no_windows(&self) -> LengthWindows {
        self.counted.iter().map(|_| Windows::default()).collect()
    }

    /// Length, start and partials of all windows, those that are sums included.
    fn all(&self, windows: LengthWindows) -> Vec<(u32, DateTime<Utc>, Box<[Partial]>)> {
        let counted: SmallVec<[_; 1]> = windows.into_iter().map(Windows::close).collect();
        let mut all = Vec::new();
        for &(secs, shorter) in &self.summed {
            let mut sums: BTreeMap<DateTime<Utc>, Box<[Partial]>> = BTreeMap::new();
            for (start, partials) in &counted[shorter] {
                let sum = sums
                    .entry(window_start(*start, secs))
                    .or_insert_with(|| vec![Partial::EMPTY; partials.len()].into());
                sum.iter_mut().zip(partials).for_each(|(sum, partial)| sum.merge(partial));
            }
            all.extend(sums.into_iter().map(|(start, partials)| (secs, start, partials)));
        }
        for (&secs, windows) in self.counted.iter().zip(counted) {
            all.extend(windows.into_iter().map(|(start, partials)| (secs, start, partials)));
        }
        all
    }
}

impl Windows {
    /// The partials of the window that holds `instant`.
    fn at(&mut self, instant: DateTime<Utc>, secs: u32, measures: usize) -> &mut [Partial] {
        if !self.open.as_ref().is_some_and(|open| open.start <= instant && instant < open.end) {
            let start = window_start(instant, secs);
            let end = start + TimeDelta::seconds(i64::from(secs));
            let partials = self.left.remove(&start).unwrap_or_else(|| vec![Partial::EMPTY; measures].into());
            if let Some(before) = self.open.replace(Window { start, end, partials }) {
                self.left.insert(before.start, before.partials);
            }
        }
        self.open.as_mut().map_or(&mut [], |open| &mut open.partials)
    }

    fn close(self) -> BTreeMap<DateTime<Utc>, Box<[Partial]>> {
        let Self { open, mut left } = self;
        left.extend(open.map(|open| (open.start, open.partials)));
        left
    }
}

fn group_of(reading: &Reading, tag_places: &[Option<usize>], group: &mut String) {
    group.clear();
    for (index, place) in tag_places.iter().enumerate() {
        if index > 0 {
            group.push('/');
        }
        if let Some(Some(value)) = place.and_then(|place| reading.tags.get(place)) {
            group.push_str(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use kilowatch_shared::{reading::Tags, stream::StreamRegistry};
    use proptest::prelude::*;

    use super::*;

    fn profile(windows: Vec<u32>) -> StreamProfile {
        let built_in = StreamRegistry::built_in().unwrap();
        let campus = built_in.iter().find(|profile| profile.name.as_str() == "campus").unwrap();
        StreamProfile { rollup_windows_secs: windows, ..campus.clone() }
    }

    proptest! {
        #[test]
        fn every_window_holds_its_readings_whatever_their_order(
            windows in prop::sample::select(vec![vec![3600], vec![30, 3600], vec![60, 90, 3600], vec![2400, 3600, 7200]]),
            readings in prop::collection::vec((0..3_u32, 0_i64..20_000, prop::option::of(-9..9_i32), any::<bool>()), 0..200),
        ) {
            let profile = profile(windows.clone());
            let names: Vec<DeviceId> = (0..3).map(|n| DeviceId::parse(&format!("m-{n}")).unwrap()).collect();
            let (mut buffer, mut expected, mut numbers) = (RollupBuffer::new(&profile), BTreeMap::new(), Vec::new());
            for (device, secs, value, counts) in readings {
                let reading = Reading {
                    device: names[device as usize].clone(),
                    event_time: DateTime::from_timestamp(secs, 0).unwrap(),
                    measures: [value.map(f64::from), None].into_iter().collect(),
                    tags: profile.tags.iter().map(|_| Some("A".into())).collect::<Tags>(),
                    injected: None,
                };
                let number = numbers.iter().position(|known| *known == device).unwrap_or_else(|| {
                    numbers.push(device);
                    numbers.len() - 1
                });
                buffer.add(number as u32, &reading, counts);
                for &length in &windows {
                    if let Some(value) = value.filter(|_| counts) {
                        let start = window_start(reading.event_time, length);
                        let key = (reading.device.clone(), length, start);
                        expected.entry(key).or_insert(Partial::EMPTY).merge(&Partial::of(f64::from(value)));
                    }
                }
            }
            let numbered: Vec<DeviceId> = numbers.iter().map(|device| names[*device as usize].clone()).collect();
            let (rows, devices) = buffer.finish(&profile, &numbered);
            prop_assert!(rows.is_sorted_by(|a, b| a.key < b.key));
            prop_assert_eq!(devices.len(), numbers.len());
            let found: BTreeMap<_, _> = rows
                .into_iter()
                .map(|row| ((row.key.device, row.key.window_secs, row.key.window_start), row.partial))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
