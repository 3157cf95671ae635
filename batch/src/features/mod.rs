//! Rows of the lake become rows to learn from.
//!
//! The estimate learns from readings as they are, with the calendar: [`FeatureTable`]. The forecast looks back on
//! [`hourly`] means with [`issue`], which sees only what was known when the forecast was issued; [`issue_table`] holds
//! many past issues with what came of them. [`read`] fetches both from the lake.
//! Detectors learn from the features that speed computes, of readings in the order of each device: [`judged`], whose
//! window `extent` finds.

mod extent;
pub mod hourly;
pub mod issue;
pub mod issue_table;
pub mod judged;
mod known;
pub mod read;
mod table;

pub use hourly::{HourIndex, HourTotal, HourlySeries};
pub use issue::{ISSUE_FEATURES, issue_features};
pub use issue_table::IssueTable;
pub use known::Known;
pub use table::FeatureTable;
