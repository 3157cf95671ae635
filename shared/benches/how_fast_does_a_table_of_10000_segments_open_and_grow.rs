//! How fast does a table of 10,000 segment commits open, and what does it add to one more? In a folder, and on S3 if it is
//! named.
//!
//! `[TEST_S3_URL=s3://bucket/prefix AWS_...] cargo bench -p kilowatch-shared --bench how_fast_does_a_table_of_10000_segments_open_and_grow [COMMITS]`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints its answer and may fail loudly")]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::{Cut, OffsetSpan, Pins},
    clock::SystemClock,
    lake::{CommitOutcome, LakeTable, Segment, SegmentLake, delta::DeltaLake, store::LakeStore},
    position::{DeviceId, Offset, PartitionId, SourceId},
    reading::{FoldedReading, Reading, ReadingColumns},
    stream::{StreamProfile, StreamRegistry},
};

/// A week of segments, a minute each.
const COMMITS: u64 = 10_000;
/// Commits between the checkpoints of the hourly compaction.
const CHECKPOINT_EVERY: u64 = 100;
const OPENINGS: usize = 5;
const APPENDS: usize = 21;

#[tokio::main]
async fn main() {
    let commits = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(COMMITS);
    let folder = tempfile::tempdir().unwrap();
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let remote = environment.get("TEST_S3_URL").map(|root| format!("{root}/{}", uuid::Uuid::new_v4()));
    for url in std::iter::once(folder.path().display().to_string()).chain(remote) {
        println!("{url}");
        let store = LakeStore::open(&url, &environment).unwrap();
        println!("  an empty table, a commit: {}", spread(&appended(Bench::new(&store), APPENDS).await));
        measure(&store, commits).await;
    }
}

async fn measure(store: &LakeStore, commits: u64) {
    let bench = Bench::new(store);
    let started = Instant::now();
    for number in 1..=commits {
        bench.close().await;
        if number % CHECKPOINT_EVERY == 0 && number + CHECKPOINT_EVERY > commits {
            println!("  {number} commits made in {:.1} s", started.elapsed().as_secs_f64());
        }
    }
    println!("  opened without a checkpoint: {}", spread(&opened(store, 1).await));
    let started = Instant::now();
    let stream = &bench.profile.name;
    bench.lake.checkpoint(stream, LakeTable::Readings, 1).await.unwrap();
    println!("  checkpoint written in {:.0} ms", started.elapsed().as_secs_f64() * 1e3);
    println!("  opened from it: {}", spread(&opened(store, OPENINGS).await));
    println!("  a commit of a member that knows the table: {}", spread(&appended(bench, APPENDS).await));
    let bench = Bench::new(store);
    let started = Instant::now();
    bench.lake.checkpoint(&bench.profile.name, LakeTable::Readings, 1).await.unwrap();
    println!("  the next checkpoint, {APPENDS} commits later, in {:.0} ms", started.elapsed().as_secs_f64() * 1e3);
    for _ in 0..CHECKPOINT_EVERY {
        bench.close().await;
    }
    println!("  opened from it, {CHECKPOINT_EVERY} commits later: {}", spread(&opened(store, OPENINGS).await));
}

async fn opened(store: &LakeStore, times: usize) -> Vec<Duration> {
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let fresh = Bench::new(store);
        let started = Instant::now();
        let table = fresh.lake.open_table(&fresh.profile.name, LakeTable::Readings, None).await.unwrap();
        took.push(started.elapsed());
        assert!(!table.files.is_empty());
    }
    took
}

async fn appended(bench: Bench, times: usize) -> Vec<Duration> {
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let started = Instant::now();
        bench.close().await;
        took.push(started.elapsed());
    }
    took
}

fn spread(took: &[Duration]) -> String {
    let mut millis: Vec<f64> = took.iter().map(|took| took.as_secs_f64() * 1e3).collect();
    millis.sort_by(f64::total_cmp);
    let [least, median, most] = [0, millis.len() / 2, millis.len() - 1].map(|at| millis[at]);
    format!("{least:.1} / {median:.1} / {most:.1} ms (min, median, max of {})", millis.len())
}

struct Bench {
    lake: DeltaLake,
    profile: StreamProfile,
    partition: PartitionId,
}

impl Bench {
    fn new(store: &LakeStore) -> Self {
        let stream = "household".parse().unwrap();
        let profile = StreamRegistry::built_in().unwrap().find(&stream).unwrap().clone();
        let source = SourceId::parse("kafka:energy-stream#1").unwrap();
        let partition = PartitionId { stream, source, partition: 0 };
        Self { lake: DeltaLake::new(store.clone(), Arc::new(SystemClock)), profile, partition }
    }

    /// Closes a segment of one reading, so that what is measured is the log and not the rows.
    async fn close(&self) {
        let base = self.lake.snapshot(&self.profile.name, LakeTable::Readings).await.unwrap();
        let from = base.closed_to(&self.partition).unwrap_or_default();
        let span = OffsetSpan { from, to: from.plus(1) };
        let pins = Arc::new(Pins::of_this_build(&self.profile, BTreeMap::new()));
        let cuts = [span.from, span.to].map(|offset| Cut { offset, pins: pins.clone() }).to_vec();
        let mut rows = ReadingColumns::default();
        rows.push(&self.reading(span.from));
        let segment = Segment { partition: self.partition.clone(), span, rows, cuts };
        let outcome = self.lake.append_readings(&self.profile, &base, &[segment]).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed(_)));
    }

    fn reading(&self, offset: Offset) -> FoldedReading {
        let start: DateTime<Utc> = "2007-01-01T00:00:00Z".parse().unwrap();
        let event_time = start + TimeDelta::minutes(offset.as_i64());
        let measures = self.profile.measures.iter().map(|_| Some(1.0)).collect();
        let device = DeviceId::parse("meter-0001").unwrap();
        let reading = Reading { device, event_time, measures, tags: Default::default(), injected: None };
        FoldedReading { reading, offset, ingested_at: event_time, is_duplicate: false }
    }
}
