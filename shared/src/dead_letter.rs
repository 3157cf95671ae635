//! A message that could not become a reading, kept whole with the reason.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::position::SourcePosition;

/// Enough to find the message again, to understand it and to replay it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it stands in its log, or the row of its file.
    pub position: SourcePosition,
    /// The key of the message, if it had one; of a file's row its device, if that can be told.
    pub key: Option<Bytes>,
    /// The bytes as they came; empty for a tombstone.
    pub raw: Bytes,
    /// What is wrong, for a person.
    pub reason: String,
    /// The log's timestamp; for a file, the time of the ingest.
    pub seen_at: DateTime<Utc>,
}
