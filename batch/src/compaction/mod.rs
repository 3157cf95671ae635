//! Compaction: many small data files become few, and no row changes.
//!
//! [`plan_merges`] decides, from the log alone, which files become one; [`crate::jobs::compact`] writes that one and puts it
//! in their place.

mod plan;

pub use plan::{Merge, plan_merges};

/// Commits after which the log gets a checkpoint: whoever opens the table reads at most so many commits in a row, the log is
/// deleted behind checkpoints only, and a checkpoint of a hundred thousand files is not written for each segment.
pub(crate) const CHECKPOINT_EVERY_COMMITS: u32 = 100;
