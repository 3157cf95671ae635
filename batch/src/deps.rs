//! What every batch job works with.

use std::sync::Arc;

use kilowatch_shared::{clock::SharedClock, lake::delta::DeltaLake, views::SharedViews};

/// The lake, the views and the time; cheap to clone.
#[derive(Debug, Clone)]
pub struct BatchDeps {
    /// Where files are appended and tables are read.
    pub lake: Arc<DeltaLake>,
    /// Where results are published.
    pub views: SharedViews,
    /// What time it is; nothing in a job asks the machine.
    pub clock: SharedClock,
}
