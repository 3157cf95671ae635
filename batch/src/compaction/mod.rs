//! Compaction: many small data files become few, and no row changes.
//!
//! [`plan_merges`] decides, from the log alone, which files become one; `merge` writes that one. [`crate::jobs::compact`]
//! puts it in their place.

mod merge;
mod plan;

pub(crate) use merge::merge;
pub use plan::{Merge, plan_merges};
