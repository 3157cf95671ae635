//! The event times that a device has sent lately: what makes a reading a duplicate.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Event times that are remembered of a device: more than four hours of minutes. A producer that retries repeats its
/// last messages; whoever sends a day again is told apart by the lake, whose key is (device, event time).
const WINDOW_READINGS: usize = 256;

/// The last event times of a device in the order in which they came, in microseconds.
///
/// A meter mostly keeps its interval, and then three numbers say as much as 256: in a grid of 100,000 meters that is 200 MB
/// of memory and of saved state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenTimes {
    /// Those before the run, which came in no rhythm.
    older: VecDeque<i64>,
    run: Run,
    newest: Option<i64>,
}

/// Times at equal distances, up to the last one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    first: i64,
    step: i64,
    count: u32,
}

impl SeenTimes {
    /// Takes an event time and says whether it is one of the last ones.
    pub(super) fn is_repeated(&mut self, event_time: DateTime<Utc>) -> bool {
        let micros = event_time.timestamp_micros();
        // Times mostly rise, and what is newer than all others needs no search.
        if self.newest.is_none_or(|newest| micros > newest) {
            self.newest = Some(micros);
        } else if self.run.contains(micros) || self.older.contains(&micros) {
            return true;
        }
        if !self.run.continues_with(micros) {
            self.older.extend(self.run.times());
            self.run = Run { first: micros, step: 0, count: 1 };
        }
        if self.older.len() + self.run.count as usize > WINDOW_READINGS {
            self.forget_the_oldest();
        }
        false
    }

    fn forget_the_oldest(&mut self) {
        if self.older.pop_front().is_none() {
            self.run.first += self.run.step;
            self.run.count -= 1;
        } else if self.older.is_empty() {
            self.older = VecDeque::new();
        }
    }
}

impl Run {
    /// Takes the time if it is the next one.
    fn continues_with(&mut self, micros: i64) -> bool {
        if self.count == 1 {
            self.step = micros - self.first;
        }
        let continues = self.count == 0 || micros == self.first + i64::from(self.count) * self.step;
        if self.count == 0 {
            self.first = micros;
        }
        self.count += u32::from(continues);
        continues
    }

    fn contains(&self, micros: i64) -> bool {
        let ahead = micros - self.first;
        match self.step {
            0 => self.count > 0 && ahead == 0,
            step => ahead % step == 0 && (0..i64::from(self.count)).contains(&(ahead / step)),
        }
    }

    fn times(self) -> impl Iterator<Item = i64> {
        (0..i64::from(self.count)).map(move |at| self.first + at * self.step)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_rhythm_and_its_breaks_are_remembered_like_a_list_of_times(
            spans in prop::collection::vec((0_i64..400, 1_i64..4, 0_usize..300), 1..8),
        ) {
            let (mut seen, mut list) = (SeenTimes::default(), VecDeque::new());
            for number in spans.into_iter().flat_map(|(from, step, count)| (0..count as i64).map(move |at| from + at * step)) {
                let repeated = list.contains(&number);
                prop_assert_eq!(seen.is_repeated(minute(number)), repeated, "{}", number);
                if !repeated {
                    list.push_back(number);
                    if list.len() > WINDOW_READINGS {
                        list.pop_front();
                    }
                }
            }
        }
    }

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
