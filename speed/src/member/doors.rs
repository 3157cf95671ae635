//! What a member works with.

use std::sync::Arc;

use kilowatch_shared::{
    lake::SegmentLake,
    log::SharedLog,
    views::{BatchViews, SpeedViews},
};

use crate::model_shelf::ModelShelf;

/// The doors to log, lake and views, shared by all partitions of a member.
#[derive(Debug, Clone)]
pub struct Doors {
    /// Where messages come from.
    pub log: SharedLog,
    /// Where segments go.
    pub lake: Arc<dyn SegmentLake>,
    /// Where effects go.
    pub views: Arc<dyn SpeedViews>,
    /// Where the boundary is read.
    pub boundaries: Arc<dyn BatchViews>,
    /// The models that pins name.
    pub models: Arc<ModelShelf>,
}

impl Doors {
    /// Doors with an empty shelf of models before the lake.
    #[must_use]
    pub fn new(
        log: SharedLog,
        lake: Arc<dyn SegmentLake>,
        views: Arc<dyn SpeedViews>,
        boundaries: Arc<dyn BatchViews>,
    ) -> Self {
        Self { log, models: Arc::new(ModelShelf::new(Arc::clone(&lake))), lake, views, boundaries }
    }
}
