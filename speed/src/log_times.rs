//! A sample of the log's timestamps of a micro-batch, for the latency from the log to the views.

use chrono::{DateTime, Utc};

/// More points than a histogram's buckets can show, and few enough to cost nothing.
const MOST: usize = 256;

/// Distinct milliseconds in the order in which they came, the first one included; when there are many, every second,
/// fourth, ... of them.
#[derive(Debug, Clone)]
pub(crate) struct LogTimes {
    millis: Vec<i64>,
    last: Option<i64>,
    distinct: usize,
    every: usize,
}

impl Default for LogTimes {
    fn default() -> Self {
        Self { millis: Vec::new(), last: None, distinct: 0, every: 1 }
    }
}

impl LogTimes {
    /// Notes the timestamp of a message.
    pub(crate) fn note(&mut self, timestamp: DateTime<Utc>) {
        let millis = timestamp.timestamp_millis();
        if self.last == Some(millis) {
            return;
        }
        self.last = Some(millis);
        if self.distinct.is_multiple_of(self.every) {
            if self.millis.len() == MOST {
                let mut keep = false;
                self.millis.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.every *= 2;
            }
            if self.distinct.is_multiple_of(self.every) {
                self.millis.push(millis);
            }
        }
        self.distinct += 1;
    }

    /// How long ago each of them was, in seconds; a timestamp of the future was just now.
    pub(crate) fn ages_secs(&self, now: DateTime<Utc>) -> impl Iterator<Item = f64> {
        let now = now.timestamp_millis();
        self.millis.iter().map(move |millis| {
            #[expect(clippy::cast_precision_loss, reason = "2^53 milliseconds are 285,000 years")]
            let age = now.saturating_sub(*millis).max(0) as f64;
            age / 1000.0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times_of(millis: impl Iterator<Item = i64>) -> LogTimes {
        let mut times = LogTimes::default();
        for millis in millis {
            times.note(DateTime::from_timestamp_millis(millis).unwrap());
        }
        times
    }

    #[test]
    fn messages_of_one_millisecond_are_one_point() {
        let times = times_of([5, 5, 5, 6, 6, 9].into_iter());
        let now = DateTime::from_timestamp_millis(8).unwrap();
        assert_eq!(times.ages_secs(now).collect::<Vec<_>>(), [0.003, 0.002, 0.0]);
    }

    #[test]
    fn a_long_batch_is_sampled_evenly_and_keeps_its_oldest_message() {
        let times = times_of(0..100_000);
        assert!((MOST / 2..=MOST).contains(&times.millis.len()), "{}", times.millis.len());
        assert_eq!(times.millis[0], 0);
        let steps: Vec<i64> = times.millis.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| *step == steps[0]), "{steps:?}");
    }
}
