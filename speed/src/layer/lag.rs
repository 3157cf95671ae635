//! How far a partition is behind its log, in messages and in time. Both are for people, so both may be a second old.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    checkpoint::SourcePartition,
    log::{Log, LogRecord},
    position::{Offset, PartitionId},
};
use tokio::time::Instant;

/// The high watermark is asked for this often.
const MEASURED_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Lag {
    measured: Option<(Instant, u64)>,
    /// When the log took the oldest message that was read and is not applied.
    oldest: Option<DateTime<Utc>>,
    age: Option<Duration>,
}

impl Lag {
    /// Messages in the log that were not applied, when it was last asked.
    pub(super) fn records(&self) -> Option<u64> {
        self.measured.map(|(_, records)| records)
    }

    /// Age of the oldest of them. While a backlog is worked off, it is that of the last batch.
    pub(super) const fn age(&self) -> Option<Duration> {
        self.age
    }

    pub(super) fn read(&mut self, records: &[LogRecord]) {
        self.oldest = self.oldest.or_else(|| records.first().map(|record| record.timestamp));
    }

    /// Everything that was read is applied.
    pub(super) fn applied(&mut self, now: DateTime<Utc>) {
        self.note_age(now);
        self.oldest = None;
    }

    pub(super) fn note_age(&mut self, now: DateTime<Utc>) {
        self.age = match (self.oldest, self.records()) {
            (Some(oldest), _) => Some((now - oldest).to_std().unwrap_or_default()),
            (None, Some(0)) => Some(Duration::ZERO),
            (None, _) => self.age,
        };
    }

    /// Whether the log should be asked: an idle partition has time for it, a busy one now and then.
    pub(super) fn is_due(&self, idle: bool) -> bool {
        idle || self.measured.is_none_or(|(at, _)| at.elapsed() >= MEASURED_EVERY)
    }

    /// A log that is away changes nothing here: it shows up at the next read.
    pub(super) async fn measure(&mut self, log: &dyn Log, partition: &PartitionId, from: Offset) {
        if let Ok(ends) = log.watermarks(&SourcePartition::from(partition)).await {
            self.measured = Some((Instant::now(), ends.high.get().saturating_sub(from.get())));
        }
    }
}
