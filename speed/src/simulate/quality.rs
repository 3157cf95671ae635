//! What detectors are worth on a simulated stream, counted by episodes: an injected episode is found if an alarm is on
//! during it, and an alarm is right if it is on during an injected one.

use std::{collections::BTreeMap, fmt, ops::Range};

/// Readings of each device, by their place in its own record.
type Spans = BTreeMap<String, Vec<Range<usize>>>;

/// Takes note of what was injected and of the alarms, reading by reading.
#[derive(Debug, Clone, Default)]
pub struct Scoring {
    /// How many readings each device has sent.
    readings: BTreeMap<String, usize>,
    injected: Spans,
    /// The kind of each injected episode, by device and first reading.
    kinds: BTreeMap<(String, usize), String>,
    /// The device and the first reading of the alarms that are on, by their ids.
    open: BTreeMap<String, (String, usize)>,
    alarms: Spans,
}

/// What detectors are worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Quality {
    /// Share of the injected episodes that were found, 0 to 1; 0 if there were none.
    pub recall: f64,
    /// Share of the alarms that were right, 0 to 1; 0 if there were none.
    pub precision: f64,
    /// How many episodes were injected.
    pub injected: usize,
    /// How many alarms there were.
    pub alarms: usize,
    /// Recall of each kind that was injected.
    pub recall_by_kind: BTreeMap<String, f64>,
}

impl Scoring {
    /// The next reading of a device, and what was injected into it.
    pub fn reading(&mut self, device: &str, injected: Option<&str>) {
        let readings = self.readings.entry(device.to_owned()).or_default();
        let place = *readings;
        *readings += 1;
        let Some(kind) = injected else { return };
        let spans = self.injected.entry(device.to_owned()).or_default();
        match spans.last_mut() {
            Some(span)
                if span.end == place
                    && self.kinds.get(&(device.to_owned(), span.start)).is_some_and(|running| running == kind) =>
            {
                span.end += 1;
            }
            _ => {
                spans.push(place..place + 1);
                self.kinds.insert((device.to_owned(), place), kind.to_owned());
            }
        }
    }

    /// An alarm is on, from the device's newest reading.
    pub fn alarm_begins(&mut self, device: &str, alarm: &str) {
        self.open.insert(alarm.to_owned(), (device.to_owned(), self.newest(device)));
    }

    /// It is off, from its device's newest reading on. An alarm that nobody told of is passed over.
    pub fn alarm_ends(&mut self, alarm: &str) {
        if let Some((device, start)) = self.open.remove(alarm) {
            let end = self.newest(&device);
            self.alarms.entry(device).or_default().push(start..end);
        }
    }

    /// What it comes to, with the alarms that are still on.
    #[must_use]
    pub fn quality(&self) -> Quality {
        let mut alarms = self.alarms.clone();
        for (device, start) in self.open.values() {
            alarms.entry(device.clone()).or_default().push(*start..self.newest(device) + 1);
        }
        let mut by_kind: BTreeMap<String, Spans> = BTreeMap::new();
        for (device, spans) in &self.injected {
            for span in spans {
                if let Some(kind) = self.kinds.get(&(device.clone(), span.start)) {
                    by_kind.entry(kind.clone()).or_default().entry(device.clone()).or_default().push(span.clone());
                }
            }
        }
        // The return to normal is the end of an anomaly, and a jump like its beginning.
        let mut with_their_ends = self.injected.clone();
        with_their_ends.values_mut().flatten().for_each(|span| span.end += 1);
        Quality {
            recall: share_met(&self.injected, &alarms),
            precision: share_met(&alarms, &with_their_ends),
            injected: count(&self.injected),
            alarms: count(&alarms),
            recall_by_kind: by_kind.into_iter().map(|(kind, spans)| (kind, share_met(&spans, &alarms))).collect(),
        }
    }

    /// The place of the device's newest reading.
    fn newest(&self, device: &str) -> usize {
        self.readings.get(device).map_or(0, |readings| readings.saturating_sub(1))
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recall, precision, injected, alarms, recall_by_kind } = self;
        write!(f, "recall {recall:.3} of {injected} episodes, precision {precision:.3} of {alarms} alarms")?;
        for (kind, recall) in recall_by_kind {
            write!(f, ", {kind} {recall:.3}")?;
        }
        Ok(())
    }
}

fn count(spans: &Spans) -> usize {
    spans.values().map(Vec::len).sum()
}

/// Share of the spans that overlap one of `others`.
fn share_met(spans: &Spans, others: &Spans) -> f64 {
    let met = |device: &String, span: &Range<usize>| {
        let others = others.get(device).map_or(&[][..], Vec::as_slice);
        others.iter().any(|other| other.start < span.end && span.start < other.end)
    };
    let found = spans.iter().flat_map(|(device, spans)| spans.iter().filter(move |span| met(device, span))).count();
    found as f64 / count(spans).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One device, a letter a reading: `.` is quiet, other letters are injected. Alarms are on from the first to before the second.
    fn scored(injected: &str, alarms: &[(usize, usize)]) -> Quality {
        let mut scoring = Scoring::default();
        for (place, letter) in injected.char_indices() {
            scoring.reading("m", (letter != '.').then(|| letter.to_string()).as_deref());
            for (id, (start, end)) in alarms.iter().enumerate() {
                if *end == place {
                    scoring.alarm_ends(&id.to_string());
                }
                if *start == place {
                    scoring.alarm_begins("m", &id.to_string());
                }
            }
        }
        scoring.quality()
    }

    #[test]
    fn an_episode_is_one_however_long_it_is_and_however_many_alarms_find_it() {
        let quality = scored("..aaaa..bb", &[(2, 3), (4, 5)]);
        assert_eq!((quality.injected, quality.alarms), (2, 2));
        assert_eq!((quality.recall, quality.precision), (0.5, 1.0));
        assert_eq!(quality.recall_by_kind, BTreeMap::from([("a".to_owned(), 1.0), ("b".to_owned(), 0.0)]));
    }

    #[test]
    fn two_kinds_in_a_row_are_two_episodes() {
        assert_eq!(scored("aabb", &[]).injected, 2);
    }

    #[test]
    fn an_alarm_on_the_return_to_normal_is_right_and_one_after_it_is_wrong_and_neither_finds_anything() {
        let at_the_return = scored(".aa...", &[(3, 4)]);
        assert_eq!((at_the_return.recall, at_the_return.precision), (0.0, 1.0));
        let later = scored(".aa...", &[(4, 5)]);
        assert_eq!((later.recall, later.precision), (0.0, 0.0));
    }

    #[test]
    fn an_alarm_that_is_still_on_lasts_to_the_newest_reading() {
        let quality = scored("...a", &[(0, 9)]);
        assert_eq!((quality.recall, quality.precision, quality.alarms), (1.0, 1.0, 1));
    }

    #[test]
    fn another_device_is_another_story() {
        let mut scoring = Scoring::default();
        scoring.reading("one", Some("a"));
        scoring.reading("two", None);
        scoring.alarm_begins("two", "x");
        let quality = scoring.quality();
        assert_eq!((quality.recall, quality.precision), (0.0, 0.0));
    }
}
