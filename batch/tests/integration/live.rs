//! The live side of a test: readings through the real fold into the lake and the views, as speed brings them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use kilowatch_shared::{
    anomaly::{Anomaly, EndedEpisode},
    checkpoint::{Cut, OffsetSpan, OwnerToken, Pins},
    dead_letter::DeadLetter,
    detect::fold::{Folded, ModelSet, PartitionFold},
    lake::{CommitOutcome, LakeTable, SavedState, Segment, SegmentLake},
    log::LogRecord,
    position::{Offset, PartitionId, SourceId},
    reading::FoldedReading,
    rollup::{Partial, RollupKey, RollupRow, window_start},
    stream::StreamProfile,
    views::{ApplyOutcome, Effects},
};

use crate::bench_room::Room;

pub struct LivePartition {
    pub partition: PartitionId,
    owner: OwnerToken,
    pins: Arc<Pins>,
    /// What the next cut records, if it is not `pins`.
    next_pins: Option<Arc<Pins>>,
    fold: PartitionFold,
    closed: Offset,
    next: Offset,
    rows: Vec<FoldedReading>,
    /// Messages that became no reading, until they are in the lake.
    letters: Vec<DeadLetter>,
    pub anomalies: Vec<Anomaly>,
    ended: Vec<EndedEpisode>,
    open_episodes: BTreeSet<String>,
    /// Readings while an episode was open.
    pub alarming_readings: u64,
}

impl LivePartition {
    /// Claims a fresh partition that begins at offset 0.
    pub async fn open(room: &Room) -> Self {
        let source = SourceId::parse("log:5f0c:energy-stream").unwrap();
        let partition = PartitionId { stream: room.profile.name.clone(), source, partition: 0 };
        let pins = Arc::new(Pins::of_this_build(&room.profile, BTreeMap::new()));
        let owner = OwnerToken::fresh();
        let first = Cut { offset: Offset::ZERO, pins: pins.clone() };
        room.deps.views.claim(&partition, owner, &first).await.unwrap();
        let fold = PartitionFold::try_new(partition.clone(), &pins, &ModelSet::default()).unwrap();
        Self {
            partition,
            owner,
            pins,
            next_pins: None,
            fold,
            closed: Offset::ZERO,
            next: Offset::ZERO,
            rows: Vec::new(),
            letters: Vec::new(),
            anomalies: Vec::new(),
            ended: Vec::new(),
            open_episodes: BTreeSet::new(),
            alarming_readings: 0,
        }
    }

    /// A message with the measures in the profile's order.
    pub fn read(&mut self, at: DateTime<Utc>, measures: &[f64]) {
        self.read_of_clock(at, at, measures);
    }

    /// A message that the log got at `logged_at` from a meter whose clock said `at`.
    pub fn read_of_clock(&mut self, logged_at: DateTime<Utc>, at: DateTime<Utc>, measures: &[f64]) {
        let record = LogRecord { timestamp: logged_at, ..record(&self.pins.profile, self.next, at, measures) };
        self.fold(&record);
    }

    /// A message of another device.
    pub fn read_of_device(&mut self, device: &str, at: DateTime<Utc>, measures: &[f64]) {
        let record = record_of(device, &self.pins.profile, self.next, at, measures);
        self.fold(&record);
    }

    /// A message that is no reading.
    pub fn read_garbage(&mut self, at: DateTime<Utc>, raw: &str) {
        let payload = Some(Bytes::from(raw.to_owned()));
        self.fold(&LogRecord { offset: self.next, key: None, payload, headers: Vec::new(), timestamp: at });
    }

    fn fold(&mut self, record: &LogRecord) {
        self.next = self.next.plus(1);
        match self.fold.fold(record) {
            Folded::Reading { reading, anomalies, ended } => {
                self.rows.push(reading);
                for ended in &ended {
                    self.open_episodes.remove(&ended.anomaly_id);
                }
                self.open_episodes.extend(anomalies.iter().map(|anomaly| anomaly.id.clone()));
                self.alarming_readings += u64::from(!self.open_episodes.is_empty());
                self.anomalies.extend(anomalies);
                self.ended.extend(ended);
            }
            Folded::DeadLetter(letter) => self.letters.push(letter),
        }
    }

    /// Applies what was read in one micro-batch that ends with a cut.
    pub async fn apply(&mut self, room: &Room) {
        let effects = Effects {
            anomalies: self.anomalies.iter().filter(|alarm| alarm.position.offset >= self.closed).cloned().collect(),
            ended: self.ended.iter().filter(|ended| ended.end.end_offset >= self.closed).cloned().collect(),
            dead_letters: self.letters.clone(),
            rollups: self.rows.iter().filter(|row| !row.is_duplicate).flat_map(|row| deltas(room, row)).collect(),
            cut: Some(Cut { offset: self.next, pins: self.next_pins.as_ref().unwrap_or(&self.pins).clone() }),
            ..Effects::default()
        };
        let span = OffsetSpan { from: self.closed, to: self.next };
        let outcome = room.deps.views.apply(&self.partition, self.owner, span, &effects).await.unwrap();
        assert_eq!(outcome, ApplyOutcome::Applied);
    }

    /// Appends what was read to the lake.
    pub async fn append(&mut self, room: &Room) {
        let letters = std::mem::take(&mut self.letters);
        if !letters.is_empty() {
            let base = room.deps.lake.snapshot(&room.profile.name, LakeTable::DeadLetters).await.unwrap();
            let from = base.closed_to(&self.partition).unwrap_or_default();
            let span = OffsetSpan { from, to: self.next };
            let segment = Segment { partition: self.partition.clone(), span, rows: letters, cuts: Vec::new() };
            let outcome = room.deps.lake.append_dead_letters(&room.profile, &base, &[segment]).await.unwrap();
            assert!(matches!(outcome, CommitOutcome::Committed(_)));
        }
        let base = room.deps.lake.snapshot(&room.profile.name, LakeTable::Readings).await.unwrap();
        let segment = Segment {
            partition: self.partition.clone(),
            span: OffsetSpan { from: self.closed, to: self.next },
            rows: std::mem::take(&mut self.rows).iter().collect(),
            cuts: vec![
                Cut { offset: self.closed, pins: self.pins.clone() },
                Cut { offset: self.next, pins: self.next_pins.as_ref().unwrap_or(&self.pins).clone() },
            ],
        };
        let outcome = room.deps.lake.append_readings(&room.profile, &base, &[segment]).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed(_)));
        self.closed = self.next;
        if let Some(next) = self.next_pins.take() {
            self.fold.open_segment(&next, &models_of(room, &next).await).unwrap();
            self.pins = next;
        }
    }

    /// Closes the segment with a cut from which on the models judge that serve now.
    pub async fn close_and_swap(&mut self, room: &Room) {
        let mut models = BTreeMap::new();
        for detector in &room.profile.detectors {
            let Some(kind) = detector.kernel.model_kind() else { continue };
            let serving = room.deps.views.serving_model(&room.profile.name, kind).await.unwrap();
            models.extend(serving.map(|manifest| (detector.name.clone(), manifest.id)));
        }
        self.next_pins = Some(Arc::new(Pins::of_this_build(&room.profile, models)));
        self.close(room).await;
    }

    /// Saves the detectors' state at the last cut.
    pub async fn save_state(&self, room: &Room) {
        assert_eq!(self.closed, self.next, "a state is saved at a cut");
        let cuts = vec![(Offset::ZERO, self.pins.id().unwrap())];
        let state = SavedState { offset: self.closed, cuts, state: self.fold.save().unwrap() };
        room.deps.lake.save_state(&self.partition, &state).await.unwrap();
    }

    /// Gives the partition up.
    pub async fn release(&self, room: &Room) {
        room.deps.views.release(&self.partition, self.owner).await.unwrap();
    }

    /// Takes the partition back.
    pub async fn claim(&mut self, room: &Room) {
        self.owner = OwnerToken::fresh();
        let first = Cut { offset: Offset::ZERO, pins: self.pins.clone() };
        let known = room.deps.views.claim(&self.partition, self.owner, &first).await.unwrap();
        assert_eq!(known.applied, self.closed);
    }

    /// Begins again, as another member that goes on from the newest saved state.
    pub async fn restart(&mut self, room: &Room) {
        self.claim(room).await;
        let states = room.deps.lake.load_states(&self.partition, self.closed, 1).await.unwrap();
        assert_eq!(states[0].offset, self.closed, "nothing has to be read from the log");
        let models = ModelSet::default();
        self.fold = PartitionFold::restore(self.partition.clone(), &self.pins, &models, &states[0].state).unwrap();
        (self.anomalies, self.ended) = (Vec::new(), Vec::new());
    }

    /// Both: what was read is in the views and in the lake.
    pub async fn close(&mut self, room: &Room) {
        self.apply(room).await;
        self.append(room).await;
    }
}

/// A message of the room's only device, with the measures in the profile's order.
pub fn record(profile: &StreamProfile, offset: Offset, at: DateTime<Utc>, measures: &[f64]) -> LogRecord {
    record_of("meter-0001", profile, offset, at, measures)
}

fn record_of(device: &str, profile: &StreamProfile, offset: Offset, at: DateTime<Utc>, measures: &[f64]) -> LogRecord {
    let mut payload = serde_json::json!({});
    payload[&profile.key_fields[0]] = device.into();
    payload[&profile.time_field] = at.to_rfc3339().into();
    for (measure, value) in profile.measures.iter().zip(measures) {
        payload[&measure.name] = (*value).into();
    }
    let payload = Some(Bytes::from(payload.to_string()));
    LogRecord { offset, key: None, payload, headers: Vec::new(), timestamp: at }
}

/// The models that pins name, from the lake.
pub async fn models_of(room: &Room, pins: &Pins) -> ModelSet {
    let mut models = ModelSet::default();
    for id in pins.models.values() {
        models.insert(id.clone(), room.deps.lake.load_model(id).await.unwrap());
    }
    models
}

fn deltas(room: &Room, row: &FoldedReading) -> Vec<RollupRow> {
    let measures = room.profile.measures.iter().zip(&row.reading.measures);
    measures
        .filter_map(|(measure, value)| {
            let key = RollupKey {
                device: row.reading.device.clone(),
                window_secs: 3600,
                window_start: window_start(row.reading.event_time, 3600),
                measure: measure.name.clone(),
                group: String::new(),
            };
            value.map(|value| RollupRow { key, partial: Partial::of(value) })
        })
        .collect()
}
