//! Why a sink did not take an entry.

use kilowatch_shared::log::LogError;

/// Meanings of a sink's errors.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The log did not take it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The sink is away.
    #[error("the sink is not available: {reason}")]
    Unavailable {
        /// What is known of it.
        reason: String,
    },
}
