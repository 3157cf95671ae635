//! A room for one test: a lake, views and a clock of its own, and a folder for its files.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::{DateTime, Utc};
use flate2::{Compression, write::GzEncoder};
use futures::TryStreamExt;
use kilowatch_batch::{
    BatchDeps, BatchError,
    ingest::{IngestReport, IngestRequest, NoProgress},
    jobs::{
        ingest::ingest,
        rollup::{RollupReport, RollupRequest, rollup},
        verify::{VerifyReport, VerifyRequest, verify},
    },
};
use kilowatch_shared::{
    clock::FixedClock,
    dead_letter::DeadLetter,
    lake::{
        LakeTable,
        delta::DeltaLake,
        session::{SessionLimits, SessionTable, lake_session},
        store::LakeStore,
    },
    position::{DeviceId, StreamName},
    rollup::{Partial, RollupKey},
    stream::{StreamProfile, StreamRegistry},
    views::{SharedViews, sqlite::SqliteViews},
};
use object_store::ObjectStore;

pub const UCI_HEADER: &str = "Date;Time;Global_active_power;Global_reactive_power;Voltage;Global_intensity;Sub_metering_1;Sub_metering_2;Sub_metering_3";

pub struct Room {
    pub deps: BatchDeps,
    pub profile: StreamProfile,
    folder: tempfile::TempDir,
}

impl Room {
    pub async fn new() -> Self {
        Self::over(LakeStore::in_memory()).await
    }

    /// A room whose lake is on this store.
    pub async fn over(store: LakeStore) -> Self {
        let clock = Arc::new(FixedClock(instant("2026-01-01T00:00:00Z")));
        let views: SharedViews = Arc::new(SqliteViews::in_memory().await.unwrap());
        let lake = Arc::new(DeltaLake::new(store, clock.clone()));
        let deps = BatchDeps { lake, views, clock };
        Self { deps, profile: household(), folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub async fn ingest(&self, request: &IngestRequest) -> Result<IngestReport, BatchError> {
        ingest(&self.deps, &self.profile, request, Arc::new(NoProgress)).await
    }

    pub async fn ingest_file(&self, path: &Path) -> IngestReport {
        self.ingest(&request(path)).await.unwrap()
    }

    /// Writes a file under this name and ingests it.
    pub async fn ingest_bytes(&self, name: &str, bytes: &[u8]) -> IngestReport {
        self.ingest_file(&self.write(name, bytes)).await
    }

    pub async fn rollup(&self, full: bool) -> RollupReport {
        rollup(&self.deps, &self.profile, &RollupRequest { full, as_of: None }).await.unwrap()
    }

    pub async fn verify(&self) -> VerifyReport {
        verify(&self.deps, &self.profile, &VerifyRequest::default()).await.unwrap()
    }

    /// Runs SQL over the newest version of a table, which must exist.
    pub async fn query(&self, table: LakeTable, sql: &str) -> Vec<RecordBatch> {
        let files = self.deps.lake.open_table(&self.profile.name, table, None).await.unwrap();
        let table = SessionTable { name: "readings", files: &files };
        let session = lake_session(self.deps.lake.store(), &[table], &SessionLimits::default()).unwrap();
        session.collect(sql).await.unwrap()
    }

    /// The one number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        let batches = self.query(LakeTable::Readings, sql).await;
        batches.iter().find(|batch| batch.num_rows() > 0).unwrap().column(0).as_primitive::<Int64Type>().value(0)
    }

    pub async fn version(&self) -> i64 {
        self.deps.lake.open_table(&self.profile.name, LakeTable::Readings, None).await.unwrap().version
    }

    /// All dead letters, by offset.
    pub async fn dead_letters(&self) -> Vec<DeadLetter> {
        let mut letters = self.deps.lake.newest_dead_letters(&self.profile.name, 1_000_000).await.unwrap();
        letters.sort_by(|a, b| a.position.cmp(&b.position));
        letters
    }

    /// The data files that the store holds, whether a commit names them or not.
    pub async fn stored_data_files(&self) -> Vec<String> {
        let stored: Vec<_> = self.deps.lake.store().objects().list(None).try_collect().await.unwrap();
        let paths = stored.into_iter().map(|object| object.location.to_string());
        paths.filter(|path| path.ends_with(".parquet")).collect()
    }

    /// Everything that is published.
    pub async fn published(&self) -> BTreeMap<RollupKey, Partial> {
        let mut all = BTreeMap::new();
        let mut after: Option<RollupKey> = None;
        loop {
            // A page length that no table is a multiple of.
            let page = self.deps.views.published_rollups(&self.profile.name, after.as_ref(), 997).await.unwrap();
            let Some(last) = page.last() else { return all };
            after = Some(last.key.clone());
            for row in page {
                assert!(all.insert(row.key, row.partial).is_none(), "a row is on two pages");
            }
        }
    }
}

pub fn household() -> StreamProfile {
    StreamRegistry::built_in().unwrap().find(&StreamName::parse("household").unwrap()).unwrap().clone()
}

pub fn request(path: &Path) -> IngestRequest {
    IngestRequest::new(path.to_owned(), DeviceId::parse(IngestRequest::DEFAULT_DEVICE).unwrap())
}

pub fn instant(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// A UCI file of these lines.
pub fn uci(lines: &[&str]) -> Vec<u8> {
    let mut text = format!("{UCI_HEADER}\n");
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text.into_bytes()
}

/// A UCI line of a minute of 1 January 2007 whose values follow from `value`.
pub fn minute(minute: u32, value: f64) -> String {
    let (hour, minute) = (minute / 60, minute % 60);
    format!("1/1/2007;{hour:02}:{minute:02}:00;{value:.3};0.100;240.{minute:02};{:.1};0.000;1.000;17.000", value * 4.0)
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Whether two publications are equal: counts and extremes exactly, sums up to the order of their terms.
pub fn assert_same_windows(a: &BTreeMap<RollupKey, Partial>, b: &BTreeMap<RollupKey, Partial>) {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for ((key, a), b) in a.iter().zip(b.values()) {
        assert_eq!((a.count, a.min, a.max), (b.count, b.min, b.max), "{key:?}");
        for (a, b) in [(a.sum, b.sum), (a.sum_squares, b.sum_squares)] {
            assert!((a - b).abs() <= 1e-9 * a.abs().max(b.abs()), "{key:?}: {a} and {b}");
        }
    }
}
