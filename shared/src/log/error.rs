//! What can go wrong at the log.

use crate::{checkpoint::SourcePartition, log::Watermarks, position::Offset, retry::RetryHint};

/// Meanings of log errors; driver codes stay behind the door.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no such topic.
    #[error("the log has no topic `{topic}`")]
    UnknownTopic {
        /// Its name.
        topic: String,
    },
    /// There is no such partition.
    #[error("the log has no partition {}/{}", partition.source, partition.partition)]
    UnknownPartition {
        /// Which one.
        partition: SourcePartition,
    },
    /// The position is not, or no longer, in the log.
    #[error("offset {asked} of {}/{} is outside [{}, {}]", partition.source, partition.partition, watermarks.low, watermarks.high)]
    OutOfRange {
        /// Which partition.
        partition: SourcePartition,
        /// The offset that was asked for.
        asked: Offset,
        /// What the log has.
        watermarks: Watermarks,
    },
    /// The log cannot be reached or is busy; the same call may go through later.
    #[error("the log is not available: {reason}")]
    Unavailable {
        /// What the driver said, without secrets.
        reason: String,
    },
    /// What the log keeps cannot be understood, or its address cannot.
    #[error("the log is not usable: {reason}")]
    Unusable {
        /// What was found and what to do.
        reason: String,
    },
}

impl LogError {
    /// Whether to try again.
    #[must_use]
    pub const fn retry_hint(&self) -> RetryHint {
        match self {
            Self::Unavailable { .. } => RetryHint::WithBackoff,
            _ => RetryHint::Never,
        }
    }
}
