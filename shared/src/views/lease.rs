//! Leases: what one process at a time does, though several could.

use chrono::{DateTime, TimeDelta, Utc};

use crate::checkpoint::OwnerToken;

/// A claim on something that one process at a time does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Who does it.
    pub holder: OwnerToken,
    /// What time the holder has.
    pub now: DateTime<Utc>,
    /// When somebody else may take over.
    pub until: DateTime<Utc>,
}

impl Lease {
    /// How long it lasts.
    #[must_use]
    pub fn length(&self) -> TimeDelta {
        self.until - self.now
    }
}
