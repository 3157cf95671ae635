//! What a job may know.

use chrono::{DateTime, Utc};
use kilowatch_shared::lake::AsOf;

/// Readings before an instant, out of the lake as of a point in its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Event times end before it.
    pub until: DateTime<Utc>,
    /// The lake at this point; its newest version without one.
    pub as_of: Option<AsOf>,
}
