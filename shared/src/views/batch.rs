//! What batch publishes.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Lease, ViewsError};
use crate::{
    anomaly::Anomaly,
    benchmark::Benchmark,
    checkpoint::{Boundary, Cut, OwnerToken},
    forecast::ForecastVintage,
    job::JobRun,
    model::{ModelId, ModelKind, ModelManifest},
    position::{DeviceId, PartitionId, SourcePosition, StreamName},
    rollup::{RollupKey, RollupRow},
    verification::Verification,
};

/// Runs of one job of a stream that the history keeps: three years of a nightly job, and the last sixteen hours of one
/// that runs every minute, whose older runs nobody asks for.
pub const KEPT_JOB_RUNS: u32 = 1000;

/// Benchmarks that the views keep: two years of a weekly one, some kilobytes each.
pub const KEPT_BENCHMARKS: u32 = 100;

/// Rows that were staged for one publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StageId(pub Uuid);

/// Which windows the staged rows replace.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplacedWindows {
    /// All windows of the stream: a full recomputation.
    All,
    /// These, as (device, window length in seconds, window start); a window without staged rows disappears.
    Touched(Vec<(DeviceId, u32, DateTime<Utc>)>),
}

/// What windows are computed for (measures, window lengths, tags), in whatever words: where they change, no window is what
/// a new computation would give.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishedShape {
    /// As it was read before the job began.
    pub expected: Option<String>,
    /// As it will be.
    pub next: Option<String>,
}

/// A new state of the batch views.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// The stream.
    pub stream: StreamName,
    /// The boundary as it was read before the job began.
    pub expected: Boundary,
    /// The boundary to be: L of each partition at the version that was read.
    pub next: Boundary,
    /// Where the rows were staged.
    pub stage: StageId,
    /// What they replace.
    pub replaces: ReplacedWindows,
    /// What all windows are computed for.
    pub shape: PublishedShape,
}

/// How a publication ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    /// Readers see the new state.
    Published,
    /// Another job published meanwhile, a partition would go back, or an end is not a recorded cut; nothing changed.
    Refused {
        /// Which of them, for the log.
        reason: String,
    },
}

/// What batch needs of the views.
#[async_trait]
pub trait BatchViews: std::fmt::Debug + Send + Sync {
    /// The current boundary of a stream.
    async fn boundary(&self, stream: &StreamName) -> Result<Boundary, ViewsError>;

    /// What the published windows were computed for; `None` if the last publication did not say so.
    async fn published_shape(&self, stream: &StreamName) -> Result<Option<String>, ViewsError>;

    /// Stages rows for a later publication; nobody reads them yet. Called as often as there are chunks; a row that is
    /// staged twice counts once, so a call whose answer was lost may be repeated.
    async fn stage_rollups(&self, stage: StageId, stream: &StreamName, rows: &[RollupRow]) -> Result<(), ViewsError>;

    /// Moves the boundary and replaces the windows in one transaction, if what is expected of boundary and shape still holds, no
    /// partition goes back, and each end is a recorded cut of its partition. Drops the stage in any case.
    async fn publish(&self, publication: &Publication) -> Result<PublishOutcome, ViewsError>;

    /// A page of the published rows, at most `limit` of them after the key `after`, in an order of keys that is the
    /// same for all pages. What `verify` compares a computation with; a publication between two pages shows in the boundary.
    async fn published_rollups(
        &self,
        stream: &StreamName,
        after: Option<&RollupKey>,
        limit: u32,
    ) -> Result<Vec<RollupRow>, ViewsError>;

    /// Deletes speed rows with a tag below their partition's boundary, and stages older than a day. Housekeeping:
    /// reads are exact without it. Returns how many rows went.
    async fn drop_seen_speed_rollups(&self, stream: &StreamName, now: DateTime<Utc>) -> Result<u64, ViewsError>;

    /// The recorded cuts of a partition, ascending.
    async fn cuts(&self, partition: &PartitionId) -> Result<Vec<Cut>, ViewsError>;

    /// The partitions of log sources that speed ever claimed.
    async fn known_partitions(&self, stream: &StreamName) -> Result<Vec<PartitionId>, ViewsError>;

    /// Anomalies of one partition by offset, then detector; what `verify` compares a replay with.
    async fn anomalies_of(&self, partition: &PartitionId) -> Result<Vec<Anomaly>, ViewsError>;

    /// Notes that a replay brought these dead letters to the lake; the first note stays.
    async fn mark_replayed(
        &self,
        stream: &StreamName,
        positions: &[SourcePosition],
        at: DateTime<Utc>,
    ) -> Result<(), ViewsError>;

    /// Adds a vintage; one with the same device, measure, issue and model is left as it is.
    async fn add_forecast(&self, vintage: &ForecastVintage) -> Result<(), ViewsError>;

    /// Adds a model to the list; a known id is left as it is.
    async fn add_model(&self, manifest: &ModelManifest) -> Result<(), ViewsError>;

    /// From `at` on this model serves its kind of its stream: ends the period of the one before, in one transaction.
    /// Promoting the serving one changes nothing. Returns whether something changed. An unknown model is refused.
    async fn promote_model(
        &self,
        stream: &StreamName,
        kind: ModelKind,
        id: &ModelId,
        at: DateTime<Utc>,
    ) -> Result<bool, ViewsError>;

    /// The model that serves now.
    async fn serving_model(&self, stream: &StreamName, kind: ModelKind) -> Result<Option<ModelManifest>, ViewsError>;

    /// The models of a stream, newest first, at most `limit`.
    async fn models(&self, stream: &StreamName, limit: u32) -> Result<Vec<ModelManifest>, ViewsError>;

    /// Adds a run to the history, which keeps the newest [`KEPT_JOB_RUNS`] of each job of a stream.
    async fn add_job_run(&self, run: &JobRun) -> Result<(), ViewsError>;

    /// Keeps what a verification found in the place of its stream's one before.
    async fn keep_verification(&self, verification: &Verification) -> Result<(), ViewsError>;

    /// Adds a benchmark to the history, which keeps the newest [`KEPT_BENCHMARKS`].
    async fn add_benchmark(&self, benchmark: &Benchmark) -> Result<(), ViewsError>;

    /// When the newest run of a job that did not fail began; `None` if the history has none.
    async fn last_job_start(&self, stream: &StreamName, job: &str) -> Result<Option<DateTime<Utc>>, ViewsError>;

    /// Takes or renews the lease of a stream's schedule. False while another holder's lease lasts, by the clock of the server
    /// if there is one. A lease that ends more than a whole length after this one would was taken by a clock that jumped, and
    /// is passed over.
    async fn lease_schedule(&self, stream: &StreamName, lease: &Lease) -> Result<bool, ViewsError>;

    /// Gives the lease back, if it is `holder`'s.
    async fn release_schedule(&self, stream: &StreamName, holder: OwnerToken) -> Result<(), ViewsError>;
}
