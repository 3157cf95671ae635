//! Compaction: many small data files become few, and no row changes.
//!
//! [`plan_merges`] decides, from the log alone, which files become one; `merge` writes that one. [`crate::jobs::compact`]
//! puts it in their place.

mod merge;
mod plan;

pub(crate) use merge::{READINGS_ORDER, as_stored, merge};
pub use plan::{Merge, plan_merges};

/// Commits after which the log gets a checkpoint: whoever opens the table reads at most so many commits in a row, the log is
/// deleted behind checkpoints only, and a checkpoint of a hundred thousand files is not written for each segment.
pub(crate) const CHECKPOINT_EVERY_COMMITS: u32 = 100;
