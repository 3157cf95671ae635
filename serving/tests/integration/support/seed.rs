//! Content for a world: what batch would have published and speed applied.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    anomaly::{Anomaly, AnomalyOrigin, Explanation, Opinion, OpinionState, Severity, Verdict},
    benchmark::{Benchmark, BenchmarkTask, EngineFound, Figures, Machine, Measurement, MeasurementResult, Spread},
    checkpoint::{Boundary, Cut, OffsetSpan, OwnerToken, Pins, SourcePartition},
    dead_letter::DeadLetter,
    forecast::{ForecastPoint, ForecastVintage},
    job::{JobRun, JobStatus},
    lake::SegmentLake as _,
    model::{
        EstimateModel, Forest, InputRange, ModelBody, ModelId, ModelKind, ModelManifest, RegressionMetrics, TreeNode,
    },
    position::{Offset, PartitionId},
    reading::MessageCounts,
    rollup::{Partial, RollupKey, RollupRow, window_start},
    views::{
        ApplyOutcome, Audit, BatchViews as _, Effects, MoveOutcome, PositionMove, PositionVerb, PositionViews as _,
        Publication, PublishOutcome, PublishedShape, RecordedMove, ReplacedWindows, SpeedViews as _, StageId,
    },
};

use super::{World, world::at};

/// One anomaly of the log at `offset`, a minute after midnight of 10 March per offset.
pub fn anomaly(world: &World, offset: u64, severity: Severity, detector: &str) -> Anomaly {
    let verdict = Verdict {
        detector: detector.to_owned(),
        score: 4.2,
        threshold: 3.0,
        severity,
        model_id: None,
        explanation: Explanation {
            measure: "active_power".to_owned(),
            observed: 7.25,
            expected_low: Some(0.2),
            expected_high: Some(2.4),
            window_readings: 240,
            text: format!("active_power 7.25 kW at offset {offset} is over 0.2 to 2.4 kW"),
            others: vec![Opinion {
                detector: if detector == "three_sigma" { "isolation_forest" } else { "three_sigma" }.to_owned(),
                state: OpinionState::Quiet,
                score: Some(0.48),
                threshold: Some(0.61),
            }],
        },
    };
    let position = world.partition().at(Offset::new(offset));
    let event_time = at("2007-03-10T00:00:00Z") + TimeDelta::minutes(offset.cast_signed());
    Anomaly::new(world.stream(), position, world.device(), event_time, verdict, AnomalyOrigin::Speed)
}

impl World {
    /// The only partition of the log.
    pub fn partition(&self) -> PartitionId {
        PartitionId {
            stream: self.stream().clone(),
            source: format!("log:memory:{}", self.profile.topic).parse().unwrap(),
            partition: 0,
        }
    }

    fn cut(&self, offset: u64) -> Cut {
        Cut { offset: Offset::new(offset), pins: Arc::new(Pins::of_this_build(&self.profile, BTreeMap::new())) }
    }

    /// One value per minute of `[from, until)`, by hour; `value` gives it.
    pub fn minutes(&self, from: &str, until: &str, value: impl Fn(DateTime<Utc>) -> f64) -> Vec<RollupRow> {
        let mut hours: BTreeMap<DateTime<Utc>, Partial> = BTreeMap::new();
        let mut minute = at(from);
        while minute < at(until) {
            hours.entry(window_start(minute, 3600)).or_insert(Partial::EMPTY).merge(&Partial::of(value(minute)));
            minute += TimeDelta::minutes(1);
        }
        let row = |(window_start, partial)| RollupRow {
            key: RollupKey {
                device: self.device(),
                window_secs: 3600,
                window_start,
                measure: "active_power".to_owned(),
                group: String::new(),
            },
            partial,
        };
        hours.into_iter().map(row).collect()
    }

    /// Publishes `rows` as all that batch has seen; of the log that is everything below `offset`.
    pub async fn publish(&self, rows: &[RollupRow], lake_version: i64, offset: Option<u64>) {
        let stage = StageId(uuid::Uuid::new_v4());
        self.views.stage_rollups(stage, self.stream(), rows).await.unwrap();
        let seen = offset.map(|offset| (SourcePartition::from(&self.partition()), Offset::new(offset)));
        let publication = Publication {
            stream: self.stream().clone(),
            expected: self.views.boundary(self.stream()).await.unwrap(),
            next: Boundary { lake_version: Some(lake_version), partitions: seen.into_iter().collect() },
            stage,
            replaces: ReplacedWindows::All,
            shape: PublishedShape::default(),
        };
        assert_eq!(self.views.publish(&publication).await.unwrap(), PublishOutcome::Published);
    }

    /// Applies the effects of the `messages` that follow what was applied, and records a cut after them.
    pub async fn apply(&self, messages: u64, effects: Effects) {
        let (partition, owner) = (self.partition(), OwnerToken::fresh());
        let from = self.views.claim(&partition, owner, &self.cut(0)).await.unwrap().applied;
        let to = from.plus(messages);
        let effects = Effects { cut: Some(self.cut(to.get())), ..effects };
        let outcome = self.views.apply(&partition, owner, OffsetSpan { from, to }, &effects).await.unwrap();
        assert_eq!(outcome, ApplyOutcome::Applied);
    }

    /// Records a cut after `messages` more, from which on the isolation forest judges with this model.
    pub async fn with_a_swap(&self, messages: u64, model: &ModelId) {
        let (partition, owner) = (self.partition(), OwnerToken::fresh());
        let from = self.views.claim(&partition, owner, &self.cut(0)).await.unwrap().applied;
        let offset = from.plus(messages);
        let models = BTreeMap::from([("isolation_forest".to_owned(), model.clone())]);
        let cut = Cut { offset, pins: Arc::new(Pins::of_this_build(&self.profile, models)) };
        let effects = Effects { cut: Some(cut), ..Effects::default() };
        let outcome = self.views.apply(&partition, owner, OffsetSpan { from, to: offset }, &effects).await.unwrap();
        assert_eq!(outcome, ApplyOutcome::Applied);
    }

    /// An operator went back.
    pub async fn with_a_rewind(&self, from: u64, to: u64) {
        self.moved(PositionVerb::Rewind, from, to, None, "the lake came back from a backup").await;
    }

    /// An operator gave up messages that nobody has.
    pub async fn with_a_gap(&self, from: u64, to: u64) {
        let gap = OffsetSpan { from: Offset::new(from), to: Offset::new(to) };
        self.moved(PositionVerb::Skip, from, to, Some(gap), "").await;
    }

    async fn moved(&self, verb: PositionVerb, from: u64, to: u64, gap: Option<OffsetSpan>, reason: &str) {
        let (from, to) = (Offset::new(from), Offset::new(to));
        let change = PositionMove {
            partition: self.partition(),
            from,
            to,
            undone_from: from.min(to),
            cut: None,
            last_message: None,
            uncounted: MessageCounts::default(),
            resend: false,
            recorded: RecordedMove { from, to, gap },
        };
        let audit = Audit { at: self.clock.0, by: "ada@ops".to_owned(), reason: reason.to_owned() };
        let owner = OwnerToken::fresh();
        self.views.claim(&self.partition(), owner, &self.cut(0)).await.unwrap();
        self.views.release(&self.partition(), owner).await.unwrap();
        let outcome = self.views.move_positions(verb, &[change], None, &audit).await.unwrap();
        assert_eq!(outcome, MoveOutcome::Moved);
    }

    /// Effects of one reading a minute of `[from, until)`.
    pub fn live(&self, from: &str, until: &str, value: impl Fn(DateTime<Utc>) -> f64) -> Effects {
        let rollups = self.minutes(from, until, value);
        let readings = rollups.iter().map(|row| row.partial.count).sum();
        Effects {
            rollups,
            devices: vec![(self.device(), at(until) - TimeDelta::minutes(1))],
            counts: MessageCounts { readings, ..MessageCounts::default() },
            ..Effects::default()
        }
    }

    /// Batch up to ten o'clock, speed from there to half past twelve, with a gap from eleven to twelve: the shape that
    /// most tests of merged answers want.
    pub async fn with_a_morning(&self) {
        let batch = self.minutes("2007-03-10T08:00:00Z", "2007-03-10T10:00:00Z", |_| 1.0);
        self.apply(30, self.live("2007-03-10T09:30:00Z", "2007-03-10T10:00:00Z", |_| 1.0)).await;
        self.publish(&batch, 3, Some(30)).await;
        self.apply(60, self.live("2007-03-10T10:00:00Z", "2007-03-10T11:00:00Z", |_| 2.0)).await;
        self.apply(30, self.live("2007-03-10T12:00:00Z", "2007-03-10T12:30:00Z", |_| 4.0)).await;
    }

    /// Applies anomalies of offsets `0..`, one message each.
    pub async fn with_anomalies(&self, anomalies: Vec<Anomaly>) {
        let messages = anomalies.len() as u64;
        let devices = vec![(self.device(), at("2007-03-10T12:00:00Z"))];
        let counts = MessageCounts { readings: messages, ..MessageCounts::default() };
        self.apply(messages, Effects { anomalies, devices, counts, ..Effects::default() }).await;
    }

    /// Applies one message that became no reading.
    pub async fn with_a_dead_letter(&self, raw: &'static [u8], reason: &str) {
        let letter = DeadLetter {
            position: self.partition().at(Offset::ZERO),
            key: None,
            raw: raw.into(),
            reason: reason.to_owned(),
            seen_at: self.clock.0,
        };
        let counts = MessageCounts { dead_letters: 1, ..MessageCounts::default() };
        self.apply(1, Effects { dead_letters: vec![letter], counts, ..Effects::default() }).await;
    }

    /// An estimate that says 1 kW up to 240 V and 2 kW over it, serving since noon.
    pub async fn with_an_estimate(&self) -> ModelId {
        let tree = vec![
            TreeNode::Split { feature: 0, threshold: 240.0, low: 1, high: 2 },
            TreeNode::Leaf(1.0),
            TreeNode::Leaf(2.0),
        ];
        let config = self.profile.forecast.clone().unwrap();
        let range = |name: &String| match name.as_str() {
            "voltage" => InputRange { name: name.clone(), min: 223.2, max: 254.1 },
            _ => InputRange { name: name.clone(), min: 0.0, max: 80.0 },
        };
        let inputs: Vec<InputRange> = config.estimate_from.iter().map(range).collect();
        let forest = Forest::try_new(inputs.len() + 3, &[tree]).unwrap();
        let calendar = self.profile.calendar();
        let model = EstimateModel::new(config.target, inputs, calendar, forest).unwrap();
        self.with_model(ModelKind::Estimate, &ModelBody::Estimate(model).to_bytes().unwrap()).await
    }

    /// A serving model with these bytes, whatever they are.
    pub async fn with_model(&self, kind: ModelKind, bytes: &[u8]) -> ModelId {
        let metrics = |rmse| RegressionMetrics { rmse, mae: rmse / 2.0, r2: 1.0 - rmse, rows: 4_321 };
        let manifest = ModelManifest {
            id: ModelId::of(bytes),
            stream: self.stream().clone(),
            kind,
            created_at: at("2007-03-10T11:55:00Z"),
            lake_version: 3,
            train_from: at("2007-01-01T00:00:00Z"),
            train_until: at("2007-03-01T00:00:00Z"),
            train_rows: 84_960,
            features: vec!["voltage".to_owned(), "hour".to_owned()],
            target: Some("active_power".to_owned()),
            params: BTreeMap::from([("seed".to_owned(), 7.into())]),
            metrics: Some(metrics(0.25)),
            baselines: BTreeMap::from([
                ("last_value".to_owned(), metrics(0.75)),
                ("seasonal_naive".to_owned(), metrics(0.5)),
            ]),
        };
        self.lake.save_model(&manifest, bytes.to_vec().into()).await.unwrap();
        self.views.add_model(&manifest).await.unwrap();
        self.views.promote_model(self.stream(), kind, &manifest.id, at("2007-03-10T12:00:00Z")).await.unwrap();
        manifest.id
    }

    /// A vintage of `hours` hours, issued at noon.
    pub async fn with_a_forecast(&self, hours: u32) {
        let issued_at = at("2007-03-10T12:00:00Z");
        let point = |horizon_hours: u32| ForecastPoint {
            target_time: issued_at + TimeDelta::hours(i64::from(horizon_hours)),
            horizon_hours,
            value: 1.5,
            low: 1.25,
            high: 2.0,
        };
        let vintage = ForecastVintage {
            stream: self.stream().clone(),
            device: self.device(),
            measure: "active_power".to_owned(),
            issued_at,
            model_id: ModelId::of(b"forecast"),
            lake_version: 3,
            interval_level: 0.8,
            points: (1..=hours).map(point).collect(),
        };
        self.views.add_forecast(&vintage).await.unwrap();
    }

    /// A run of a job that took one and a half seconds.
    pub async fn with_a_job(&self, job: &str, status: JobStatus, message: &str) {
        let run = JobRun {
            job: job.to_owned(),
            stream: self.stream().clone(),
            started_at: at("2007-03-10T12:00:00Z"),
            finished_at: at("2007-03-10T12:00:01.5Z"),
            status,
            rows: 1_234,
            message: message.to_owned(),
        };
        self.views.add_job_run(&run).await.unwrap();
    }

    /// A benchmark of 100 and 200 MB beside a DuckDB that fails at the larger roll-up.
    pub async fn with_a_benchmark(&self, seed: u64) {
        let found = |engine: &str, version: Option<&str>| EngineFound {
            engine: engine.to_owned(),
            version: version.map(str::to_owned),
            absence: version.is_none().then(|| "not installed".to_owned()),
        };
        let measurement = |task, engine: &str, megabytes: u64, secs: f64| {
            let spread = |median: f64| Spread { min: median * 0.9, median, max: median * 1.1 };
            let figures = Figures {
                wall_secs: spread(secs),
                cpu_secs: spread(secs * 1.5),
                peak_bytes: spread(228e6),
                engine_secs: (engine == "kilowatch").then(|| spread(secs * 0.9)),
            };
            Measurement {
                task,
                engine: engine.to_owned(),
                input_bytes: megabytes * 1_000_000,
                input_rows: megabytes * 16_000,
                result: MeasurementResult::Measured(figures),
            }
        };
        let mut measurements = vec![
            measurement(BenchmarkTask::Ingest, "kilowatch", 100, 0.6),
            measurement(BenchmarkTask::Ingest, "DuckDB", 100, 0.75),
            measurement(BenchmarkTask::Ingest, "kilowatch", 200, 1.25),
            measurement(BenchmarkTask::Ingest, "DuckDB", 200, 1.5),
            measurement(BenchmarkTask::Rollup, "kilowatch", 200, 3.0),
            measurement(BenchmarkTask::Rollup, "DuckDB", 200, 0.25),
        ];
        measurements[5].result = MeasurementResult::Failed("out of <memory>".to_owned());
        let benchmark = Benchmark {
            started_at: at("2007-03-10T12:00:00Z"),
            finished_at: at("2007-03-10T12:04:00Z"),
            machine: Machine {
                cpu: "AMD EPYC".to_owned(),
                cores: 2,
                memory_bytes: 24 << 30,
                os: "Debian GNU/Linux 12, kernel 6.1.0".to_owned(),
            },
            rounds: 3,
            seed,
            engines: vec![
                found("kilowatch", Some("0.1.0 (1013c04)")),
                found("DuckDB", Some("2.0.0")),
                found("Polars", None),
            ],
            measurements,
        };
        self.views.add_benchmark(&benchmark).await.unwrap();
    }
}
