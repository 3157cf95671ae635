//! What the windows gain by the readings of a micro-batch.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    position::DeviceId,
    reading::Reading,
    rollup::{Partial, RollupKey, RollupRow, window_start},
    stream::StreamProfile,
};

/// Partials of all measures by device, group and window, and the newest event time of each device.
#[derive(Debug, Default)]
pub struct RollupBuffer {
    devices: HashMap<DeviceId, DeviceRollups>,
    /// Reused for the name of each reading's group.
    group: String,
}

#[derive(Debug)]
struct DeviceRollups {
    newest: DateTime<Utc>,
    groups: BTreeMap<Box<str>, Windows>,
}

/// Partials of all measures by length and start of the window.
type Windows = BTreeMap<(u32, DateTime<Utc>), Box<[Partial]>>;

impl RollupBuffer {
    /// Counts a reading, unless it repeats an earlier one; a repeated one still shows that its device is alive.
    pub fn add(&mut self, profile: &StreamProfile, tag_places: &[Option<usize>], reading: &Reading, counts: bool) {
        if !self.devices.contains_key(&reading.device) {
            let fresh = DeviceRollups { newest: reading.event_time, groups: BTreeMap::new() };
            self.devices.insert(reading.device.clone(), fresh);
        }
        let Some(device) = self.devices.get_mut(&reading.device) else { return };
        device.newest = device.newest.max(reading.event_time);
        if !counts {
            return;
        }
        group_of(reading, tag_places, &mut self.group);
        if !device.groups.contains_key(self.group.as_str()) {
            device.groups.insert(self.group.as_str().into(), BTreeMap::new());
        }
        let Some(windows) = device.groups.get_mut(self.group.as_str()) else { return };
        for &secs in &profile.rollup_windows_secs {
            let partials = windows
                .entry((secs, window_start(reading.event_time, secs)))
                .or_insert_with(|| vec![Partial::EMPTY; profile.measures.len()].into());
            for (partial, value) in partials.iter_mut().zip(&reading.measures) {
                if let Some(value) = value {
                    partial.merge(&Partial::of(*value));
                }
            }
        }
    }

    /// The rows, ordered by key, and the devices, ordered by id. A measure without a value has no row.
    #[must_use]
    pub fn finish(self, profile: &StreamProfile) -> (Vec<RollupRow>, Vec<(DeviceId, DateTime<Utc>)>) {
        let mut rows = Vec::new();
        let mut devices = Vec::with_capacity(self.devices.len());
        for (device, rollups) in self.devices {
            for (group, windows) in rollups.groups {
                for ((window_secs, window_start), partials) in windows {
                    for (measure, partial) in profile.measures.iter().zip(partials).filter(|(_, p)| p.count > 0) {
                        let key = RollupKey {
                            device: device.clone(),
                            window_secs,
                            window_start,
                            measure: measure.name.clone(),
                            group: group.clone().into(),
                        };
                        rows.push(RollupRow { key, partial });
                    }
                }
            }
            devices.push((device, rollups.newest));
        }
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        devices.sort_unstable();
        (rows, devices)
    }
}

/// Where in a reading's tags those of the roll-ups stand.
#[must_use]
pub fn rollup_tag_places(profile: &StreamProfile) -> Vec<Option<usize>> {
    profile.rollup_tags.iter().map(|name| profile.tags.iter().position(|tag| tag == name)).collect()
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
