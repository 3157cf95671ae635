//! The live side of a test: readings through the real fold into the lake and the views, as speed brings them.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use kilowatch_shared::{
    anomaly::{Anomaly, EndedEpisode},
    checkpoint::{Cut, OffsetSpan, OwnerToken, Pins},
    detect::fold::{Folded, ModelSet, PartitionFold},
    lake::{CommitOutcome, LakeTable, Segment, SegmentLake},
    log::LogRecord,
    position::{Offset, PartitionId, SourceId},
    reading::LakeReading,
    rollup::{Partial, RollupKey, RollupRow, window_start},
    views::{ApplyOutcome, Effects},
};

use crate::bench_room::Room;

pub struct LivePartition {
    pub partition: PartitionId,
    owner: OwnerToken,
    pins: Arc<Pins>,
    fold: PartitionFold,
    closed: Offset,
    next: Offset,
    rows: Vec<LakeReading>,
    pub anomalies: Vec<Anomaly>,
    ended: Vec<EndedEpisode>,
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
            fold,
            closed: Offset::ZERO,
            next: Offset::ZERO,
            rows: Vec::new(),
            anomalies: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// A message with the measures in the profile's order.
    pub fn read(&mut self, at: DateTime<Utc>, measures: &[f64]) {
        let profile = &self.pins.profile;
        let mut payload = serde_json::json!({ "device_id": "meter-0001", "timestamp": at.to_rfc3339() });
        for (measure, value) in profile.measures.iter().zip(measures) {
            payload[&measure.name] = (*value).into();
        }
        let record = LogRecord {
            offset: self.next,
            key: None,
            payload: Some(Bytes::from(payload.to_string())),
            headers: Vec::new(),
            timestamp: at,
        };
        self.next = self.next.plus(1);
        match self.fold.fold(&record) {
            Folded::Reading { reading, anomalies, ended } => {
                self.rows.push(reading);
                self.anomalies.extend(anomalies);
                self.ended.extend(ended);
            }
            Folded::DeadLetter(letter) => panic!("{letter:?}"),
        }
    }

    /// Applies what was read in one micro-batch that ends with a cut.
    pub async fn apply(&mut self, room: &Room) {
        let effects = Effects {
            anomalies: self.anomalies.iter().filter(|alarm| alarm.position.offset >= self.closed).cloned().collect(),
            ended: self.ended.iter().filter(|ended| ended.end.end_offset >= self.closed).cloned().collect(),
            rollups: self.rows.iter().filter(|row| !row.is_duplicate).flat_map(|row| deltas(room, row)).collect(),
            cut: Some(Cut { offset: self.next, pins: self.pins.clone() }),
            ..Effects::default()
        };
        let span = OffsetSpan { from: self.closed, to: self.next };
        let outcome = room.deps.views.apply(&self.partition, self.owner, span, &effects).await.unwrap();
        assert_eq!(outcome, ApplyOutcome::Applied);
    }

    /// Appends what was read to the lake.
    pub async fn append(&mut self, room: &Room) {
        let base = room.deps.lake.snapshot(&room.profile.name, LakeTable::Readings).await.unwrap();
        let segment = Segment {
            partition: self.partition.clone(),
            span: OffsetSpan { from: self.closed, to: self.next },
            rows: std::mem::take(&mut self.rows),
            cuts: vec![
                Cut { offset: self.closed, pins: self.pins.clone() },
                Cut { offset: self.next, pins: self.pins.clone() },
            ],
        };
        let outcome = room.deps.lake.append_readings(&room.profile, &base, &[segment]).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed(_)));
        self.closed = self.next;
    }

    /// Both: what was read is in the views and in the lake.
    pub async fn close(&mut self, room: &Room) {
        self.apply(room).await;
        self.append(room).await;
    }
}

fn deltas(room: &Room, row: &LakeReading) -> Vec<RollupRow> {
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
