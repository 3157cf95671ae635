//! What serving reads. Every merged answer comes from one snapshot.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ViewsError;
use crate::{
    anomaly::{Anomaly, Severity},
    benchmark::{BenchmarkId, BenchmarkPage, KeptBenchmark},
    checkpoint::Boundary,
    dead_letter::DeadLetter,
    forecast::ForecastVintage,
    job::JobRun,
    model::{ModelId, ModelKind, ModelManifest},
    position::{DeviceId, SourcePosition, StreamName},
    reading::MessageCounts,
    rollup::Partial,
    verification::Verification,
};

/// Which anomalies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AnomalyFilter {
    /// Of this device only.
    pub device: Option<DeviceId>,
    /// Of this detector only.
    pub detector: Option<String>,
    /// At least this severe.
    pub min_severity: Option<Severity>,
    /// With an event time at or after it.
    pub from: Option<DateTime<Utc>>,
    /// With an event time before it.
    pub until: Option<DateTime<Utc>>,
}

/// Where the next page begins: after this anomaly in (event time descending, id ascending).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnomalyCursor {
    /// Its event time.
    pub event_time: DateTime<Utc>,
    /// Its id.
    pub id: String,
}

/// One page, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct AnomalyPage {
    /// The anomalies.
    pub anomalies: Vec<Anomaly>,
    /// Where the next page begins, if there is one.
    pub next: Option<AnomalyCursor>,
}

/// Which dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// Of this partition of its log only.
    pub partition: Option<u32>,
    /// Seen at or after it.
    pub from: Option<DateTime<Utc>>,
    /// Seen before it.
    pub until: Option<DateTime<Utc>>,
    /// With this text in the reason, in either case.
    pub reason: Option<String>,
    /// Only those that no replay has taken.
    pub only_open: bool,
}

/// A dead letter and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDeadLetter {
    /// The letter.
    pub letter: DeadLetter,
    /// When a replay brought it to the lake, if one did.
    pub replayed_at: Option<DateTime<Utc>>,
}

/// Which windows of which measure.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageQuery {
    /// The stream.
    pub stream: StreamName,
    /// Of this device only; else all devices, merged.
    pub device: Option<DeviceId>,
    /// Of this group of the stream's roll-up tags only; else all groups, merged.
    pub group: Option<String>,
    /// The measure.
    pub measure: String,
    /// Length of the stored windows in seconds.
    pub window_secs: u32,
    /// With a start at or after it.
    pub from: DateTime<Utc>,
    /// With a start before it.
    pub until: DateTime<Utc>,
    /// At most so many windows, the earliest ones.
    pub limit: u32,
}

/// One merged window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageWindow {
    /// Its start.
    pub start: DateTime<Utc>,
    /// Its values, of both layers.
    pub partial: Partial,
    /// How many of the values batch has seen; the rest is speed's.
    pub batch_count: u64,
}

/// Windows and the boundary of the very snapshot that they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageResult {
    /// The windows that hold a value, ascending; a gap is a gap.
    pub windows: Vec<UsageWindow>,
    /// The boundary.
    pub boundary: Boundary,
}

/// The boundary and how far speed is.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundaryInfo {
    /// The boundary.
    pub boundary: Boundary,
    /// When it was published.
    pub published_at: Option<DateTime<Utc>>,
}

/// How much there is, by layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerCounts {
    /// What speed's messages became, ever.
    pub speed: MessageCounts,
    /// Values of the first measure's batch roll-ups at the finest window: readings that batch has seen and that hold it.
    pub batch_values: u64,
    /// Anomalies.
    pub anomalies: u64,
    /// Devices seen by speed.
    pub devices: u64,
    /// Forecast vintages.
    pub forecasts: u64,
    /// Models.
    pub models: u64,
}

/// A model that serves, and since when.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedModel {
    /// The model.
    pub manifest: ModelManifest,
    /// Since when it serves.
    pub since: DateTime<Utc>,
}

/// A detector judges with another model from a cut on: every reading below it was judged by the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSwap {
    /// The first position that the model judges.
    pub from: SourcePosition,
    /// The detector's name in the profile.
    pub detector: String,
    /// The model; `None` if the detector has none any more.
    pub model: Option<ModelId>,
    /// The model before; `None` if the detector had none.
    pub replaced: Option<ModelId>,
    /// When the model first was promoted, if the views know of it.
    pub promoted_at: Option<DateTime<Utc>>,
}

/// What serving needs of the views.
#[async_trait]
pub trait ServingViews: std::fmt::Debug + Send + Sync {
    /// Whether the views answer.
    async fn ping(&self) -> Result<(), ViewsError>;

    /// A page of anomalies, newest first, at most `limit`.
    async fn list_anomalies(
        &self,
        stream: &StreamName,
        filter: &AnomalyFilter,
        after: Option<&AnomalyCursor>,
        limit: u32,
    ) -> Result<AnomalyPage, ViewsError>;

    /// Merged windows: batch rows, and only those speed rows whose tag is at or above their partition's boundary, from
    /// one snapshot.
    async fn usage(&self, query: &UsageQuery) -> Result<UsageResult, ViewsError>;

    /// The boundary.
    async fn boundary_info(&self, stream: &StreamName) -> Result<BoundaryInfo, ViewsError>;

    /// The newest vintage, of `device` or else of the device that has the newest one.
    async fn latest_forecast(
        &self,
        stream: &StreamName,
        device: Option<&DeviceId>,
    ) -> Result<Option<ForecastVintage>, ViewsError>;

    /// The model that serves now, and since when.
    async fn served_model(&self, stream: &StreamName, kind: ModelKind) -> Result<Option<ServedModel>, ViewsError>;

    /// Where the models of detectors changed, partition by partition, newest first, from one snapshot: the newest `limit`
    /// places of each partition.
    async fn model_swaps(&self, stream: &StreamName, limit: u32) -> Result<Vec<ModelSwap>, ViewsError>;

    /// How much there is. `measure` is the one whose batch values are counted.
    async fn counts(&self, stream: &StreamName, measure: &str, window_secs: u32) -> Result<LayerCounts, ViewsError>;

    /// Devices with the newest event time that any layer saw, by id, at most `limit`, after `after`. Of a device that
    /// only batch saw, it is the start of its newest window.
    async fn list_devices(
        &self,
        stream: &StreamName,
        after: Option<&DeviceId>,
        limit: u32,
    ) -> Result<Vec<(DeviceId, DateTime<Utc>)>, ViewsError>;

    /// The newest dead letters, at most `limit`.
    async fn recent_dead_letters(&self, stream: &StreamName, limit: u32) -> Result<Vec<DeadLetter>, ViewsError>;

    /// Dead letters by time, newest first, at most `limit`, after the one at `after`. An `after` that is not there gives
    /// an empty page.
    async fn list_dead_letters(
        &self,
        stream: &StreamName,
        filter: &DeadLetterFilter,
        after: Option<&SourcePosition>,
        limit: u32,
    ) -> Result<Vec<ListedDeadLetter>, ViewsError>;

    /// The dead letter at a position.
    async fn dead_letter(
        &self,
        stream: &StreamName,
        position: &SourcePosition,
    ) -> Result<Option<ListedDeadLetter>, ViewsError>;

    /// The newest job runs, at most `limit`.
    async fn recent_job_runs(&self, stream: &StreamName, limit: u32) -> Result<Vec<JobRun>, ViewsError>;

    /// What the last verification of each stream found, by stream.
    async fn verifications(&self) -> Result<Vec<Verification>, ViewsError>;

    /// Benchmarks, newest first, at most `limit`, those kept before `after` if it is given.
    async fn list_benchmarks(&self, after: Option<BenchmarkId>, limit: u32) -> Result<BenchmarkPage, ViewsError>;

    /// One of them, if it is there and this build can read it.
    async fn benchmark(&self, id: BenchmarkId) -> Result<Option<KeptBenchmark>, ViewsError>;
}
