//! What can go wrong at the views.

use crate::retry::RetryHint;

/// Meanings of view errors; SQL states stay behind the door.
#[derive(Debug, thiserror::Error)]
pub enum ViewsError {
    /// The address cannot be understood.
    #[error("views url: {reason}")]
    BadUrl {
        /// What is wrong and what to write, without the password.
        reason: String,
    },
    /// The database cannot be reached, is busy, or ended the session; the same call may go through later.
    #[error("the views are not available: {reason}")]
    Unavailable {
        /// What the driver said, without secrets.
        reason: String,
    },
    /// The database refuses: permission, credentials, full disk, read-only file.
    #[error("the views refused: {reason}")]
    Refused {
        /// What the driver said, without secrets, and what to do.
        reason: String,
    },
    /// The schema is not the one that this build knows.
    #[error("the views' schema does not fit this build: {reason}")]
    Schema {
        /// What was found and what to do.
        reason: String,
    },
    /// A stored value cannot be understood.
    #[error("the views hold something unreadable: {reason}")]
    Corrupt {
        /// Table, column and value.
        reason: String,
    },
}

impl ViewsError {
    /// Whether to try again.
    #[must_use]
    pub const fn retry_hint(&self) -> RetryHint {
        match self {
            Self::Unavailable { .. } => RetryHint::WithBackoff,
            _ => RetryHint::Never,
        }
    }
}
