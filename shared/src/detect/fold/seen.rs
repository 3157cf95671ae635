//! The event times that a device has sent lately: what makes a reading a duplicate.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Event times that are remembered of a device: more than four hours of minutes. A producer that retries repeats its
/// last messages; whoever sends a day again is told apart by the lake, whose key is (device, event time).
const WINDOW_READINGS: usize = 256;

/// The last event times of a device in the order in which they came, in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenTimes {
    times: VecDeque<i64>,
    newest: Option<i64>,
}

impl SeenTimes {
    /// Takes an event time and says whether it is one of the last ones.
    pub(super) fn is_repeated(&mut self, event_time: DateTime<Utc>) -> bool {
        let micros = event_time.timestamp_micros();
        // Time rises nearly always, and what is newer than all was not there.
        let rises = self.newest.is_none_or(|newest| micros > newest);
        if rises {
            self.newest = Some(micros);
        } else if self.times.contains(&micros) {
            return true;
        }
        if self.times.len() == WINDOW_READINGS {
            self.times.pop_front();
        }
        self.times.push_back(micros);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(number: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(number * 60, 0).unwrap()
    }

    #[test]
    fn a_time_is_repeated_only_inside_the_window() {
        let mut seen = SeenTimes::default();
        for number in 0..256 {
            assert!(!seen.is_repeated(minute(number)));
        }
        assert!(seen.is_repeated(minute(0)));
        assert!(!seen.is_repeated(minute(256)));
        assert!(!seen.is_repeated(minute(0)), "256 other times came since");
        assert!(seen.is_repeated(minute(256)));
    }

    #[test]
    fn a_late_time_that_is_new_is_no_duplicate() {
        let mut seen = SeenTimes::default();
        for number in [5, 3, 4] {
            assert!(!seen.is_repeated(minute(number)));
        }
        for number in [3, 4, 5] {
            assert!(seen.is_repeated(minute(number)));
        }
    }
}
