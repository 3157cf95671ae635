//! The door to the views: what speed applies, what batch publishes, what serving reads.
//!
//! The traits are cut by who needs them: [`SpeedViews`], [`OutboxViews`], [`PositionViews`], [`ErasureViews`],
//! [`AgingViews`], [`BatchViews`], [`ServingViews`]. [`sqlite::SqliteViews`] is embedded (and, in memory, the twin for tests), [`postgres::PostgresViews`] is for production; [`open()`] chooses by
//! URL. Both pass `shared/tests/integration/contracts/views`, and both are the statements of `sql/` on a driver.
//! Instants are kept in whole microseconds, and SQLite knows the years 0 to 9999 only.

mod aging;
mod batch;
mod erasures;
mod error;
mod lease;
mod migrations;
mod open;
mod outbox;
mod positions;
pub mod postgres;
mod serving;
mod speed;
mod sql;
pub mod sqlite;
mod translate;

use std::sync::Arc;

pub use aging::{AgeFloors, Aged, AgedRows, AgingViews};
pub use batch::{
    BatchViews, KEPT_BENCHMARKS, KEPT_JOB_RUNS, Publication, PublishOutcome, PublishedShape, ReplacedWindows, StageId,
};
pub use erasures::{DeviceErasure, DeviceRows, EraseOutcome, ErasedRows, ErasureViews, RecordedErasure};
pub use error::ViewsError;
pub use lease::Lease;
pub use open::open;
pub use outbox::{OutboxBacklog, OutboxViews};
pub use positions::{
    Audit, MoveOutcome, OWNER_GONE_AFTER, PositionMove, PositionVerb, PositionViews, RecordedChange, RecordedMove,
};
pub use serving::{
    AnomalyCursor, AnomalyFilter, AnomalyPage, BoundaryInfo, DeadLetterFilter, LayerCounts, ListedDeadLetter,
    ModelSwap, ServedModel, ServingViews, UsageQuery, UsageResult, UsageWindow,
};
pub use speed::{ApplyOutcome, Effects, PartitionState, RollupDelta, SpeedViews};
pub use sql::SqlViews;

/// All that the views can do.
pub trait Views:
    SpeedViews + OutboxViews + PositionViews + ErasureViews + AgingViews + BatchViews + ServingViews
{
}

impl<T> Views for T where
    T: SpeedViews + OutboxViews + PositionViews + ErasureViews + AgingViews + BatchViews + ServingViews
{
}

/// Views that can be handed around.
pub type SharedViews = Arc<dyn Views>;
