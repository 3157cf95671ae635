//! What the last `verify` of a stream found.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::position::StreamName;

/// The newest result; whoever asks whether everything is right need not run the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The stream.
    pub stream: StreamName,
    /// When it ended.
    pub verified_at: DateTime<Utc>,
    /// The version of the lake that was looked at.
    pub lake_version: i64,
    /// Differences; zero is the promise.
    pub differing: u64,
    /// Partitions of which nothing is proved, because this build cannot replay them.
    pub unproved: u64,
    /// What was compared, in one sentence.
    pub message: String,
}

impl Verification {
    /// Whether everything was compared and nothing differs.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.differing == 0 && self.unproved == 0
    }
}
