//! A reading: one message or row of a stream, decoded. [`columns`] hold many of them in little memory.

pub mod columns;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

pub use columns::ReadingColumns;

use crate::position::{DeviceId, Offset, PartitionId, SourcePosition};

/// Values in the order of the profile's measures; `None` is a value that is missing, which is not zero.
pub type Measures = SmallVec<[Option<f64>; 8]>;

/// Largest size of a value in any unit: 278 TWh in joules. A meter that shows more is broken, and the squares of such
/// values would make a window's sums infinite, which no store can add to.
pub const MAX_MAGNITUDE: f64 = 1e18;

/// Texts in the order of the profile's tags.
pub type Tags = SmallVec<[Option<Box<str>>; 1]>;

/// What a message says, before the log adds where and when it stood.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The meter that was read.
    pub device: DeviceId,
    /// The instant that the profile says the reading stands for.
    pub event_time: DateTime<Utc>,
    /// One value per measure of the profile.
    pub measures: Measures,
    /// One text per tag of the profile.
    pub tags: Tags,
    /// Ground truth of a simulator: the kind of anomaly that it injected.
    pub injected: Option<Box<str>>,
}

/// A reading as the lake keeps it: a function of its position alone.
#[derive(Debug, Clone, PartialEq)]
pub struct LakeReading {
    /// What the message said.
    pub reading: Reading,
    /// Where it stood.
    pub position: SourcePosition,
    /// The log's timestamp of the message; for a file row, the time of the ingest.
    pub ingested_at: DateTime<Utc>,
    /// Whether (device, event time) was already seen inside the fold's window; the first one counts.
    pub is_duplicate: bool,
}

/// A reading as the fold of a partition gives it. The partition is the same for all of them and stands beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldedReading {
    /// What the message said.
    pub reading: Reading,
    /// Where in the partition it stood.
    pub offset: Offset,
    /// The log's timestamp of the message.
    pub ingested_at: DateTime<Utc>,
    /// Whether (device, event time) was already seen inside the fold's window; the first one counts.
    pub is_duplicate: bool,
}

impl FoldedReading {
    /// The reading as the lake keeps it.
    #[must_use]
    pub fn in_partition(self, partition: &PartitionId) -> LakeReading {
        let Self { reading, offset, ingested_at, is_duplicate } = self;
        LakeReading { reading, position: partition.at(offset), ingested_at, is_duplicate }
    }
}

/// How many messages of a span became what; every message is in exactly one field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageCounts {
    /// Readings that count.
    pub readings: u64,
    /// Readings that repeat an earlier one.
    pub duplicates: u64,
    /// Messages that became no reading.
    pub dead_letters: u64,
}

impl MessageCounts {
    /// All messages.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.readings + self.duplicates + self.dead_letters
    }
}
