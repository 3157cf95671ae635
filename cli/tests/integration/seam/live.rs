//! The live side: a partition's log through the real fold, as speed brings it to views and lake.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::{Cut, OffsetSpan, OwnerToken, Pins},
    detect::fold::{Folded, ModelSet, PartitionFold},
    lake::{CommitOutcome, LakeTable, Segment, SegmentLake, delta::DeltaLake},
    log::LogRecord,
    position::{Offset, PartitionId, SourceId},
    reading::FoldedReading,
    rollup::{Partial, RollupKey, RollupRow, window_start},
    stream::StreamProfile,
    views::{ApplyOutcome, Effects, SharedViews},
};
use proptest::prelude::*;

pub const PARTITIONS: usize = 2;

/// Minutes that readings are of: three days, so that days differ from each other and from local ones.
const MINUTES: i64 = 3 * 24 * 60;

/// What a reading says; which devices there are hangs on the partition.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub device: usize,
    pub minute: i64,
    /// In tenths of a kilowatt; none is a message without the measure.
    pub power: Option<i16>,
}

pub fn any_arrival() -> impl Strategy<Value = Arrival> {
    // Few minutes, so that the same one comes twice: a duplicate.
    let minute = prop_oneof![3 => 0..MINUTES, 1 => (0..6_i64).prop_map(|hour| hour * 600)];
    (0..3_usize, minute, prop::option::weighted(0.9, -500..500_i16)).prop_map(|(device, minute, power)| Arrival {
        device,
        minute,
        power,
    })
}

impl Arrival {
    /// When: at full minutes for live readings, half a minute later for those of files.
    pub fn at(self, from_file: bool) -> DateTime<Utc> {
        start() + TimeDelta::minutes(self.minute) + TimeDelta::seconds(if from_file { 30 } else { 0 })
    }

    pub fn kilowatts(self) -> Option<f64> {
        self.power.map(|tenths| f64::from(tenths) / 10.0)
    }
}

/// The end of a month in the stream's zone falls into the three days.
pub fn start() -> DateTime<Utc> {
    "2026-01-30T12:00:00Z".parse().unwrap()
}

/// A partition, its owner, and what of it is where.
pub struct LivePartition {
    id: PartitionId,
    owner: OwnerToken,
    fold: PartitionFold,
    pins: Arc<Pins>,
    /// Recorded cuts, ascending.
    cuts: Vec<Offset>,
    next: Offset,
    /// L.
    closed: Offset,
    /// Applied, but not in the lake.
    unclosed: Vec<FoldedReading>,
    /// Everything that was applied.
    pub applied: Vec<FoldedReading>,
}

impl LivePartition {
    pub async fn open(views: &SharedViews, profile: &StreamProfile, number: usize) -> Self {
        let source = SourceId::parse("log:5f0c:seam").unwrap();
        let number = u32::try_from(number).unwrap();
        let id = PartitionId { stream: profile.name.clone(), source, partition: number };
        let pins = Arc::new(Pins::of_this_build(profile, BTreeMap::new()));
        let fold = PartitionFold::try_new(id.clone(), &pins, &ModelSet::default()).unwrap();
        let mut partition = Self {
            id,
            owner: OwnerToken::fresh(),
            fold,
            pins,
            cuts: vec![Offset::ZERO],
            next: Offset::ZERO,
            closed: Offset::ZERO,
            unclosed: Vec::new(),
            applied: Vec::new(),
        };
        partition.claim(views).await;
        partition
    }

    /// One micro-batch.
    pub async fn apply(&mut self, views: &SharedViews, readings: &[Arrival], cut: bool) {
        let from = self.next;
        let folded: Vec<FoldedReading> = readings.iter().map(|arrival| self.fold_one(*arrival)).collect();
        let effects = Effects { rollups: deltas(&self.pins.profile, &folded), ..self.effects(cut) };
        let span = OffsetSpan { from, to: self.next };
        assert_eq!(views.apply(&self.id, self.owner, span, &effects).await.unwrap(), ApplyOutcome::Applied);
        if cut && self.cuts.last() != Some(&self.next) {
            self.cuts.push(self.next);
        }
        self.unclosed.extend(folded.iter().cloned());
        self.applied.extend(folded);
    }

    /// Brings the segments up to the last recorded cut to the lake.
    pub async fn close(&mut self, lake: &DeltaLake) {
        let Some(to) = self.cuts.last().copied().filter(|cut| *cut > self.closed) else { return };
        let span = OffsetSpan { from: self.closed, to };
        let rows = self.unclosed.iter().filter(|row| row.offset < to).collect();
        let cuts = self.cuts.iter().filter(|cut| **cut >= span.from && **cut < to).map(|cut| self.cut_at(*cut));
        let segment = Segment { partition: self.id.clone(), span, rows, cuts: cuts.collect() };
        let base = lake.snapshot(&self.id.stream, LakeTable::Readings).await.unwrap();
        let outcome = lake.append_readings(&self.pins.profile, &base, &[segment]).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed(_)));
        self.unclosed.retain(|row| row.offset >= to);
        self.closed = to;
    }

    /// The next owner claims; what the one before writes then changes nothing.
    pub async fn hand_over(&mut self, views: &SharedViews) {
        let zombie = self.owner;
        self.claim(views).await;
        let late = Arrival { device: 0, minute: 0, power: Some(1) };
        let row = FoldedReading { offset: self.next, ..self.applied.first().cloned().unwrap_or_else(|| unread(late)) };
        let effects = Effects { rollups: deltas(&self.pins.profile, &[row]), ..Effects::default() };
        let span = OffsetSpan { from: self.next, to: self.next.plus(1) };
        assert_eq!(views.apply(&self.id, zombie, span, &effects).await.unwrap(), ApplyOutcome::NotOwner);
    }

    async fn claim(&mut self, views: &SharedViews) {
        self.owner = OwnerToken::fresh();
        let state = views.claim(&self.id, self.owner, &self.cut_at(Offset::ZERO)).await.unwrap();
        assert_eq!(state.applied, self.next);
    }

    fn effects(&self, cut: bool) -> Effects {
        Effects { cut: cut.then(|| self.cut_at(self.next)), ..Effects::default() }
    }

    fn cut_at(&self, offset: Offset) -> Cut {
        Cut { offset, pins: Arc::clone(&self.pins) }
    }

    fn fold_one(&mut self, arrival: Arrival) -> FoldedReading {
        let partition = self.id.partition;
        let mut payload = serde_json::json!({
            "device_id": device_of(partition, arrival.device),
            "site": site_of(arrival.device),
            "timestamp": arrival.at(false).to_rfc3339(),
            "voltage": 230.0,
        });
        if let Some(power) = arrival.kilowatts() {
            payload["power"] = power.into();
        }
        let payload = Some(Bytes::from(payload.to_string()));
        let record = LogRecord { offset: self.next, key: None, payload, headers: Vec::new(), timestamp: start() };
        self.next = self.next.plus(1);
        match self.fold.fold(&record) {
            Folded::Reading { reading, .. } => reading,
            Folded::DeadLetter(letter) => panic!("{letter:?}"),
        }
    }
}

/// A reading of nobody, for a write that must not count.
fn unread(arrival: Arrival) -> FoldedReading {
    use kilowatch_shared::{position::DeviceId, reading::Reading};
    FoldedReading {
        reading: Reading {
            device: DeviceId::parse("nobody").unwrap(),
            event_time: arrival.at(false),
            measures: [arrival.kilowatts(), None].into_iter().collect(),
            tags: [None].into_iter().collect(),
            injected: None,
        },
        offset: Offset::ZERO,
        ingested_at: start(),
        is_duplicate: false,
    }
}

/// A device is in one partition alone, as its key keeps it.
pub fn device_of(partition: u32, device: usize) -> String {
    format!("meter-{partition}-{device}")
}

pub fn site_of(device: usize) -> &'static str {
    ["north", "south", "south"][device]
}

/// What the windows gain, one entry a key.
fn deltas(profile: &StreamProfile, folded: &[FoldedReading]) -> Vec<RollupRow> {
    let mut gained: BTreeMap<RollupKey, Partial> = BTreeMap::new();
    for FoldedReading { reading, .. } in folded.iter().filter(|row| !row.is_duplicate) {
        for (measure, value) in profile.measures.iter().zip(&reading.measures) {
            let Some(value) = value else { continue };
            for secs in &profile.rollup_windows_secs {
                let key = RollupKey {
                    device: reading.device.clone(),
                    window_secs: *secs,
                    window_start: window_start(reading.event_time, *secs),
                    measure: measure.name.clone(),
                    group: reading.tags[0].as_deref().unwrap_or_default().to_owned(),
                };
                gained.entry(key).or_insert(Partial::EMPTY).merge(&Partial::of(*value));
            }
        }
    }
    gained.into_iter().map(|(key, partial)| RollupRow { key, partial }).collect()
}
