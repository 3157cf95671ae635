//! Settings of the speed layer.

use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};

/// How speed cuts its work. Everything here trades latency, memory and number of commits; none of it changes a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpeedConfig {
    /// Longest length of a micro-batch in milliseconds, 50 to 600000. Those of a partition end whole multiples of it
    /// apart. Default 10000. Variable `KILOWATCH_SPEED__WINDOW_MS`.
    pub window_ms: u64,
    /// Messages that end a micro-batch early, 1 to 1000000. Default 50000. Variable `KILOWATCH_SPEED__BATCH_ROWS`.
    pub batch_rows: usize,
    /// Bytes of keys and payloads that end a micro-batch early, 1024 to 1073741824. Default 16 MiB.
    /// Variable `KILOWATCH_SPEED__BATCH_BYTES`.
    pub batch_bytes: usize,
    /// Longest age of a segment in milliseconds before it goes to the lake, 100 to 3600000. Default 60000. Segments end
    /// on whole multiples of it, so that those of all partitions share a commit. Variable `KILOWATCH_SPEED__SEGMENT_MS`.
    pub segment_ms: u64,
    /// Messages that end a segment early, 1 to 10000000. Default 1000000. Variable `KILOWATCH_SPEED__SEGMENT_ROWS`.
    pub segment_rows: usize,
    /// Bytes in memory that end a segment early, 1024 to 4294967296. Default 8 MiB, about 100,000 readings.
    /// Variable `KILOWATCH_SPEED__SEGMENT_BYTES`.
    pub segment_bytes: usize,
    /// Bytes of rows that a partition keeps in memory for its next closes; what is beyond is dropped and read from the
    /// log again, 1024 to 68719476736. As much again may be in the close that is on its way. Default 64 MiB.
    /// Variable `KILOWATCH_SPEED__UNCLOSED_BYTES`.
    pub unclosed_bytes: usize,
    /// Cuts that may wait for the lake before readiness turns red, 1 to 100000. Default 30.
    /// Variable `KILOWATCH_SPEED__UNCLOSED_CUTS_ALARM`.
    pub unclosed_cuts_alarm: usize,
    /// Entries of a stream that may wait in the outbox before readiness turns red, 1 to 10000000. Default 10000. Nothing
    /// waits for them. Variable `KILOWATCH_SPEED__OUTBOX_ENTRIES_ALARM`.
    pub outbox_entries_alarm: u64,
    /// How long in milliseconds a partition with messages to apply may stand still, beyond the length of a micro-batch,
    /// or the outbox may fail to deliver, before readiness turns red; 1000 to 86400000. Default 60000.
    /// Variable `KILOWATCH_SPEED__STALL_MS`.
    pub stall_ms: u64,
    /// Detector state is saved at every so many cuts, 1 to 1000. Default 5. A restart replays at most so many segments
    /// of the log. Variable `KILOWATCH_SPEED__STATE_EVERY_CUTS`.
    pub state_every_cuts: u32,
    /// How often in milliseconds the serving models and waiting notifications are asked for, ended tasks are started
    /// again, and the group is told how far the lake is, 100 to 600000. Default 5000. Variable `KILOWATCH_SPEED__REFRESH_MS`.
    pub refresh_ms: u64,
    /// How long in milliseconds a stop may take before what is left is dropped for a replay, 0 to 600000. Default 20000.
    /// Variable `KILOWATCH_SPEED__STOP_DEADLINE_MS`.
    pub stop_deadline_ms: u64,
}

impl Default for SpeedConfig {
    fn default() -> Self {
        Self {
            window_ms: 10_000,
            batch_rows: 50_000,
            batch_bytes: 16 << 20,
            segment_ms: 60_000,
            segment_rows: 1_000_000,
            segment_bytes: 8 << 20,
            unclosed_bytes: 64 << 20,
            unclosed_cuts_alarm: 30,
            outbox_entries_alarm: 10_000,
            stall_ms: 60_000,
            state_every_cuts: 5,
            refresh_ms: 5_000,
            stop_deadline_ms: 20_000,
        }
    }
}

impl SpeedConfig {
    /// What is wrong with the settings, all of it: key, value and fix, one line each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut within = |key: &str, value: u64, range: RangeInclusive<u64>| {
            if !range.contains(&value) {
                problems.push(format!(
                    "speed.{key} = {value}: must be {} to {}; set it in kilowatch.toml or in KILOWATCH_SPEED__{}",
                    range.start(),
                    range.end(),
                    key.to_uppercase(),
                ));
            }
        };
        within("window_ms", self.window_ms, 50..=600_000);
        within("batch_rows", self.batch_rows as u64, 1..=1_000_000);
        within("batch_bytes", self.batch_bytes as u64, 1024..=1 << 30);
        within("segment_ms", self.segment_ms, 100..=3_600_000);
        within("segment_rows", self.segment_rows as u64, 1..=10_000_000);
        within("segment_bytes", self.segment_bytes as u64, 1024..=4 << 30);
        within("unclosed_bytes", self.unclosed_bytes as u64, 1024..=64 << 30);
        within("unclosed_cuts_alarm", self.unclosed_cuts_alarm as u64, 1..=100_000);
        within("outbox_entries_alarm", self.outbox_entries_alarm, 1..=10_000_000);
        within("stall_ms", self.stall_ms, 1000..=86_400_000);
        within("state_every_cuts", u64::from(self.state_every_cuts), 1..=1000);
        within("refresh_ms", self.refresh_ms, 100..=600_000);
        within("stop_deadline_ms", self.stop_deadline_ms, 0..=600_000);
        problems
    }

    /// Length of a micro-batch.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms)
    }

    /// How often what nobody announces is looked at: serving models, waiting notifications, ended tasks.
    #[must_use]
    pub const fn refresh(&self) -> Duration {
        Duration::from_millis(self.refresh_ms)
    }

    /// How long something may stand still.
    #[must_use]
    pub const fn stall(&self) -> Duration {
        Duration::from_millis(self.stall_ms)
    }

    /// How long a stop may take.
    #[must_use]
    pub const fn stop_deadline(&self) -> Duration {
        Duration::from_millis(self.stop_deadline_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_own_limits() {
        assert_eq!(SpeedConfig::default().problems(), Vec::<String>::new());
    }

    #[test]
    fn every_bad_value_is_named_with_its_limits_and_its_variable() {
        let config = SpeedConfig { window_ms: 0, state_every_cuts: 0, ..SpeedConfig::default() };
        let problems = config.problems();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert_eq!(
            problems[0],
            "speed.window_ms = 0: must be 50 to 600000; set it in kilowatch.toml or in KILOWATCH_SPEED__WINDOW_MS"
        );
    }
}
