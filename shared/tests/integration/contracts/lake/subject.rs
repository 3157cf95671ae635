//! The lakes under test, and the rows that they are given.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::{Cut, OffsetSpan, Pins},
    clock::FixedClock,
    dead_letter::DeadLetter,
    lake::{
        CommitOutcome, LakeSnapshot, LakeTable, Segment, SegmentLake, delta::DeltaLake, memory::MemoryLake,
        store::LakeStore,
    },
    position::{DeviceId, Offset, PartitionId, SourceId},
    reading::{FoldedReading, LakeReading, Reading, ReadingColumns},
    stream::StreamProfile,
};
use tempfile::TempDir;

/// A lake as two members of a group see it; they share nothing but the store.
pub struct Subject {
    pub lake: Arc<dyn SegmentLake>,
    pub other: Arc<dyn SegmentLake>,
    _folder: Option<TempDir>,
}

impl Subject {
    pub async fn memory() -> Self {
        let lake = Arc::new(MemoryLake::new());
        Self { lake: lake.clone(), other: lake, _folder: None }
    }

    pub async fn delta_in_memory() -> Self {
        Self::over(LakeStore::in_memory(), None)
    }

    pub async fn delta_in_a_folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = LakeStore::open(folder.path().to_str().unwrap(), &BTreeMap::new()).unwrap();
        Self::over(store, Some(folder))
    }

    #[cfg(feature = "service-tests")]
    pub async fn delta_on_s3() -> Self {
        let environment: BTreeMap<String, String> = std::env::vars().collect();
        let root = environment.get("TEST_S3_URL").expect("TEST_S3_URL says where to test S3");
        let url = format!("{}/{}", root.trim_end_matches('/'), uuid::Uuid::new_v4());
        Self::over(LakeStore::open(&url, &environment).unwrap(), None)
    }

    fn over(store: LakeStore, folder: Option<TempDir>) -> Self {
        Self { lake: Arc::new(door(&store)), other: Arc::new(door(&store)), _folder: folder }
    }

    pub async fn snapshot(&self) -> LakeSnapshot {
        self.lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap()
    }

    /// Closes a segment of plain rows on the newest snapshot.
    pub async fn close(&self, partition: &PartitionId, from: u64, to: u64) -> CommitOutcome {
        let base = self.snapshot().await;
        self.lake.append_readings(&profile(), &base, &[segment(partition, from, to)]).await.unwrap()
    }

    pub async fn rows(&self, partition: &PartitionId, from: u64, to: u64) -> Vec<LakeReading> {
        self.other.read_readings(&profile(), partition, span(from, to)).await.unwrap()
    }
}

pub fn door(store: &LakeStore) -> DeltaLake {
    DeltaLake::new(store.clone(), Arc::new(FixedClock(at_minute(0))))
}

/// A stream with a tag, so that every kind of column is there.
pub fn profile() -> StreamProfile {
    let text = r#"
        name = "meters"
        description = "Meters of a test"
        topic = "meters"
        key_field = "device_id"
        time_field = "timestamp"
        interval_secs = 60
        measures = [
            { name = "power", unit = "kW", label = "Power" },
            { name = "voltage", unit = "V", label = "Voltage" },
        ]
        tags = ["site"]
    "#;
    StreamProfile::parse(text, "test").unwrap()
}

pub fn partition(number: u32) -> PartitionId {
    PartitionId { stream: profile().name, source: SourceId::parse("kafka:meters#1").unwrap(), partition: number }
}

pub fn span(from: u64, to: u64) -> OffsetSpan {
    OffsetSpan { from: Offset::new(from), to: Offset::new(to) }
}

pub fn at_minute(minute: u64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_167_609_600_000_000).unwrap() + TimeDelta::minutes(minute.cast_signed())
}

/// The reading of one device a minute, of which the offset decides everything.
pub fn row(partition: &PartitionId, offset: u64) -> LakeReading {
    LakeReading {
        reading: Reading {
            device: DeviceId::parse(&format!("meter-{}", offset % 3)).unwrap(),
            event_time: at_minute(offset),
            measures: [Some(offset as f64 / 7.0), (!offset.is_multiple_of(5)).then_some(240.0)].into_iter().collect(),
            tags: [Some("north".into())].into_iter().collect(),
            injected: None,
        },
        position: partition.at(Offset::new(offset)),
        ingested_at: at_minute(offset) + TimeDelta::microseconds(1),
        is_duplicate: offset % 11 == 10,
    }
}

/// Rows of one partition as a segment holds them.
pub fn columns(rows: &[LakeReading]) -> ReadingColumns {
    let mut columns = ReadingColumns::default();
    for row in rows.iter().cloned() {
        let LakeReading { reading, position, ingested_at, is_duplicate } = row;
        columns.push(&FoldedReading { reading, offset: position.offset, ingested_at, is_duplicate });
    }
    columns
}

pub fn segment(partition: &PartitionId, from: u64, to: u64) -> Segment<ReadingColumns> {
    segment_with(partition, from, to, |_| {})
}

/// A segment whose rows are changed before.
pub fn segment_with(
    partition: &PartitionId,
    from: u64,
    to: u64,
    change: impl FnMut(&mut LakeReading),
) -> Segment<ReadingColumns> {
    let mut rows: Vec<LakeReading> = (from..to).map(|offset| row(partition, offset)).collect();
    rows.iter_mut().for_each(change);
    let (partition, span, rows) = (partition.clone(), span(from, to), columns(&rows));
    Segment { partition, span, rows, cuts: vec![cut(from), cut(to)] }
}

pub fn cut(offset: u64) -> Cut {
    Cut { offset: Offset::new(offset), pins: Arc::new(Pins::of_this_build(&profile(), BTreeMap::new())) }
}

pub fn dead_letter(partition: &PartitionId, offset: u64) -> DeadLetter {
    DeadLetter {
        position: partition.at(Offset::new(offset)),
        key: offset.is_multiple_of(2).then(|| Bytes::from_static(b"\x00key")),
        raw: Bytes::from(vec![0xff, 0x00, u8::try_from(offset).unwrap_or_default()]),
        reason: "not JSON at column 1".to_owned(),
        seen_at: at_minute(offset),
    }
}
