//! Views under test, with what has to stay alive beside them, and the words in which the cases speak.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    anomaly::{Anomaly, AnomalyOrigin, Explanation, Severity, Verdict},
    checkpoint::{Boundary, Cut, OffsetSpan, OwnerToken, Pins, SourcePartition},
    clock::FixedClock,
    dead_letter::DeadLetter,
    model::ModelId,
    position::{DeviceId, Offset, PartitionId, SourceId, StreamName},
    reading::MessageCounts,
    rollup::{Partial, RollupKey, RollupRow},
    stream::{StreamProfile, StreamRegistry},
    views::{
        ApplyOutcome, Effects, Publication, PublishOutcome, PublishedShape, ReplacedWindows, SharedViews, StageId,
        UsageQuery, UsageResult, sqlite::SqliteViews,
    },
};
use tempfile::TempDir;
use uuid::Uuid;

pub const MEASURE: &str = "active_power";
pub const HOUR: u32 = 3600;

/// Views and their surroundings.
pub struct Subject {
    pub views: SharedViews,
    /// What the views' own clock says.
    pub now: DateTime<Utc>,
    /// Removed with the subject.
    _surroundings: Surroundings,
}

enum Surroundings {
    Nothing,
    Folder(#[expect(dead_code, reason = "held, and removed when dropped")] TempDir),
    #[cfg(feature = "service-tests")]
    Schema(#[expect(dead_code, reason = "held, and removed when dropped")] crate::schema::Schema),
}

impl Subject {
    pub async fn memory() -> Self {
        let views = SqliteViews::in_memory().await.unwrap().with_clock(Arc::new(FixedClock(noon())));
        Self { views: Arc::new(views), now: noon(), _surroundings: Surroundings::Nothing }
    }

    pub async fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let views = SqliteViews::open(&folder.path().join("views.sqlite")).await.unwrap();
        let views = views.with_clock(Arc::new(FixedClock(noon())));
        Self { views: Arc::new(views), now: noon(), _surroundings: Surroundings::Folder(folder) }
    }

    #[cfg(feature = "service-tests")]
    pub async fn postgres() -> Self {
        let (views, schema) = super::postgres::fresh().await;
        let views = views.with_clock(Arc::new(FixedClock(noon())));
        Self { views: Arc::new(views), now: noon(), _surroundings: Surroundings::Schema(schema) }
    }

    /// Views that a test opened itself.
    pub fn around(views: SqliteViews) -> Self {
        Self { views: Arc::new(views), now: noon(), _surroundings: Surroundings::Nothing }
    }

    /// Claims a partition whose first cut is at `first`.
    pub async fn claim(&self, partition: &PartitionId, first: u64) -> Member {
        let owner = OwnerToken::fresh();
        let state = self.views.claim(partition, owner, &cut(first)).await.unwrap();
        Member { views: Arc::clone(&self.views), partition: partition.clone(), owner, applied: state.applied.get() }
    }

    /// The merged hours of the measure, of all devices.
    pub async fn usage(&self, stream: &StreamName) -> UsageResult {
        self.views.usage(&all_hours(stream)).await.unwrap()
    }

    /// Publishes `rows` for all windows, from the boundary as it is.
    pub async fn publish_all(
        &self,
        stream: &StreamName,
        version: i64,
        ends: &[(&PartitionId, u64)],
        rows: &[RollupRow],
    ) -> PublishOutcome {
        let expected = self.views.boundary(stream).await.unwrap();
        let publication = Publication {
            stream: stream.clone(),
            expected,
            next: boundary(version, ends),
            stage: self.stage(stream, rows).await,
            replaces: ReplacedWindows::All,
            shape: PublishedShape::default(),
        };
        self.views.publish(&publication).await.unwrap()
    }

    /// Stages rows.
    pub async fn stage(&self, stream: &StreamName, rows: &[RollupRow]) -> StageId {
        let stage = StageId(Uuid::new_v4());
        self.views.stage_rollups(stage, stream, rows).await.unwrap();
        stage
    }
}

/// A member that owns a partition and remembers how far it applied.
pub struct Member {
    pub views: SharedViews,
    pub partition: PartitionId,
    pub owner: OwnerToken,
    pub applied: u64,
}

impl Member {
    /// Applies `[applied, to)`.
    pub async fn try_apply(&self, to: u64, effects: &Effects) -> ApplyOutcome {
        self.views.apply(&self.partition, self.owner, span(self.applied, to), effects).await.unwrap()
    }

    /// Applies `[applied, to)`, which goes through.
    pub async fn apply(&mut self, to: u64, effects: Effects) {
        assert_eq!(self.try_apply(to, &effects).await, ApplyOutcome::Applied);
        self.applied = to;
    }

    /// Records a cut where the member is.
    pub async fn cut(&mut self) {
        self.apply(self.applied, Effects { cut: Some(cut(self.applied)), ..Effects::default() }).await;
    }
}

/// Drops a future after other tasks had so many turns, which is a crash as a database sees it; what it gave, if it ended.
pub async fn dropped_after<F: Future>(turns: u32, future: F) -> Option<F::Output> {
    let countdown = async {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = countdown => None,
        output = future => Some(output),
    }
}

pub fn noon() -> DateTime<Utc> {
    at("2007-06-01T12:00:00Z")
}

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The start of the n-th hour of the tests.
pub fn hour(number: i64) -> DateTime<Utc> {
    at("2007-01-01T00:00:00Z") + TimeDelta::hours(number)
}

pub fn household() -> StreamName {
    StreamName::parse("household").unwrap()
}

pub fn device(name: &str) -> DeviceId {
    DeviceId::parse(name).unwrap()
}

pub fn partition_of(stream: &StreamName, number: u32) -> PartitionId {
    let source = SourceId::parse("log:5a17:energy-stream").unwrap();
    PartitionId { stream: stream.clone(), source, partition: number }
}

pub fn partition(number: u32) -> PartitionId {
    partition_of(&household(), number)
}

pub fn profile() -> StreamProfile {
    StreamRegistry::built_in().unwrap().find(&household()).unwrap().clone()
}

pub fn cut(offset: u64) -> Cut {
    Cut { offset: Offset::new(offset), pins: Arc::new(Pins::of_this_build(&profile(), [].into())) }
}

/// A cut with the pins of a promoted model.
pub fn cut_with_model(offset: u64, model: &[u8]) -> Cut {
    let models = [("isolation_forest".to_owned(), ModelId::of(model))].into();
    Cut { offset: Offset::new(offset), pins: Arc::new(Pins::of_this_build(&profile(), models)) }
}

pub fn span(from: u64, to: u64) -> OffsetSpan {
    OffsetSpan { from: Offset::new(from), to: Offset::new(to) }
}

pub fn boundary(version: i64, ends: &[(&PartitionId, u64)]) -> Boundary {
    let partitions = ends.iter().map(|(id, end)| (SourcePartition::from(*id), Offset::new(*end))).collect();
    Boundary { lake_version: Some(version), partitions }
}

pub fn row(name: &str, start: DateTime<Utc>, partial: Partial) -> RollupRow {
    let key = RollupKey {
        device: device(name),
        window_secs: HOUR,
        window_start: start,
        measure: MEASURE.to_owned(),
        group: String::new(),
    };
    RollupRow { key, partial }
}

/// A window with one value.
pub fn value(name: &str, number: i64, value: f64) -> RollupRow {
    row(name, hour(number), Partial::of(value))
}

/// The effects of readings that only fill windows.
pub fn rollups(rows: Vec<RollupRow>) -> Effects {
    let readings = rows.len() as u64;
    Effects { rollups: rows, counts: MessageCounts { readings, ..MessageCounts::default() }, ..Effects::default() }
}

pub fn all_hours(stream: &StreamName) -> UsageQuery {
    UsageQuery {
        stream: stream.clone(),
        device: None,
        group: None,
        measure: MEASURE.to_owned(),
        window_secs: HOUR,
        from: at("0001-01-01T00:00:00Z"),
        until: at("9999-12-31T23:59:59Z"),
        limit: 100_000,
    }
}

pub fn anomaly(at_offset: u64, event_time: DateTime<Utc>, name: &str, severity: Severity) -> Anomaly {
    let verdict = Verdict {
        detector: "three_sigma".to_owned(),
        score: 4.2,
        threshold: 3.0,
        severity,
        model_id: None,
        explanation: Explanation {
            measure: MEASURE.to_owned(),
            observed: 7.1,
            expected_low: Some(0.2),
            expected_high: Some(3.3),
            window_readings: 240,
            text: "7.1 kW, where 0.2 to 3.3 kW were usual".to_owned(),
            others: Vec::new(),
        },
    };
    let position = partition(0).at(Offset::new(at_offset));
    Anomaly::new(&household(), position, device(name), event_time, verdict, AnomalyOrigin::Speed)
}

pub fn dead_letter(at_offset: u64, reason: &str) -> DeadLetter {
    DeadLetter {
        position: partition(0).at(Offset::new(at_offset)),
        key: Some("meter-0001".into()),
        raw: vec![0, 159, 146, 150].into(),
        reason: reason.to_owned(),
        seen_at: hour(i64::try_from(at_offset).unwrap()),
    }
}
