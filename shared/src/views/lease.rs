//! Leases: what one process at a time does, though several could.

use chrono::{DateTime, TimeDelta, Utc};

use crate::checkpoint::OwnerToken;

/// A claim on something that one process at a time does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Who does it.
    pub holder: OwnerToken,
    /// What time the holder has. Views on a server go by the server's clock instead, the same for all who ask.
    pub now: DateTime<Utc>,
    /// When somebody else may take over.
    pub until: DateTime<Utc>,
}

impl Lease {
    /// The same by another clock.
    #[must_use]
    pub fn at(&self, now: DateTime<Utc>) -> Self {
        Self { now, until: now + self.length(), ..*self }
    }

    /// How long it lasts.
    #[must_use]
    pub fn length(&self) -> TimeDelta {
        self.until - self.now
    }
}
