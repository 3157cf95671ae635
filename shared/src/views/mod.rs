//! The door to the views: what speed applies, what batch publishes, what serving reads.
//!
//! [`sqlite::SqliteViews`] is embedded (and, in memory, the twin for tests), [`postgres::PostgresViews`] is for
//! production; both pass `shared/tests/integration/contracts/views.rs`. The traits are cut by who needs them: [`SpeedViews`], [`BatchViews`],
//! [`ServingViews`].

mod batch;
mod error;
pub mod postgres;
mod serving;
mod speed;
pub mod sqlite;

use std::sync::Arc;

pub use batch::{BatchViews, Publication, PublishOutcome, ReplacedWindows, StageId};
pub use error::ViewsError;
pub use serving::{
    AnomalyCursor, AnomalyFilter, AnomalyPage, BoundaryInfo, LayerCounts, ServedModel, ServingViews, UsageQuery,
    UsageResult, UsageWindow,
};
pub use speed::{ApplyOutcome, Effects, PartitionState, RollupDelta, SpeedViews};

/// All that the views can do.
pub trait Views: SpeedViews + BatchViews + ServingViews {}

impl<T: SpeedViews + BatchViews + ServingViews> Views for T {}

/// Views that can be handed around.
pub type SharedViews = Arc<dyn Views>;
