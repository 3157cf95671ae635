//! Compactions and vacuums as processes: two at once, and killed wherever they change something.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Command, Output, Stdio},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use kilowatch_shared::{
    checkpoint::{Cut, OffsetSpan, Pins},
    clock::SystemClock,
    lake::{CommitOutcome, LakeTable, Segment, SegmentLake, delta::DeltaLake, store::LakeStore},
    position::{DeviceId, Offset, PartitionId, SourceId},
    reading::{FoldedReading, LakeReading, Reading, ReadingColumns},
    stream::{StreamProfile, StreamRegistry},
};
use object_store::{ObjectStore, path::Path};

use crate::process::kilowatch;

const ROWS_OF_A_SEGMENT: u64 = 5;

/// A lake as speed sees it, and the data folder of the processes that work on it.
struct Lake {
    folder: tempfile::TempDir,
    url: String,
    lake: DeltaLake,
    profile: StreamProfile,
    partition: PartitionId,
}

impl Lake {
    fn in_a_folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("lake").display().to_string();
        Self::at(folder, url)
    }

    #[cfg(feature = "service-tests")]
    fn on_s3() -> Self {
        let root = std::env::var("TEST_S3_URL").expect("TEST_S3_URL says where to test S3");
        let url = format!("{}/{}", root.trim_end_matches('/'), uuid::Uuid::new_v4());
        Self::at(tempfile::tempdir().unwrap(), url)
    }

    fn at(folder: tempfile::TempDir, url: String) -> Self {
        let stream = "household".parse().unwrap();
        let profile = StreamRegistry::built_in().unwrap().find(&stream).unwrap().clone();
        let source = SourceId::parse("kafka:energy-stream#1").unwrap();
        let partition = PartitionId { stream, source, partition: 0 };
        Self { folder, lake: door(&url), url, profile, partition }
    }

    /// A command of a process that works on this lake.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = kilowatch(&self.folder.path().join("data"), args);
        command.env("KILOWATCH_LAKE__URL", &self.url);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Closes so many more segments of some rows each.
    async fn close(&self, segments: u64) {
        for _ in 0..segments {
            let base = self.lake.snapshot(&self.profile.name, LakeTable::Readings).await.unwrap();
            let from = base.closed_to(&self.partition).unwrap_or_default();
            let span = OffsetSpan { from, to: from.plus(ROWS_OF_A_SEGMENT) };
            let pins = Arc::new(Pins::of_this_build(&self.profile, BTreeMap::new()));
            let cuts = [span.from, span.to].map(|offset| Cut { offset, pins: pins.clone() }).to_vec();
            let mut rows = ReadingColumns::default();
            for offset in span.from.get()..span.to.get() {
                rows.push(&self.reading(offset));
            }
            let segment = Segment { partition: self.partition.clone(), span, rows, cuts };
            let outcome = self.lake.append_readings(&self.profile, &base, &[segment]).await.unwrap();
            assert!(matches!(outcome, CommitOutcome::Committed(_)));
        }
    }

    fn reading(&self, offset: u64) -> FoldedReading {
        let start: DateTime<Utc> = "2007-01-05T00:00:00Z".parse().unwrap();
        let event_time = start + TimeDelta::minutes(offset.cast_signed());
        let measures = self.profile.measures.iter().map(|_| Some(offset as f64 / 4.0)).collect();
        let device = DeviceId::parse("meter-0001").unwrap();
        let reading = Reading { device, event_time, measures, tags: Default::default(), injected: None };
        FoldedReading { reading, offset: Offset::new(offset), ingested_at: event_time, is_duplicate: false }
    }

    /// Every row of the partition is there once, as it was closed; says how many data files hold them.
    async fn assert_whole(&self, segments: u64, when: &str) -> usize {
        let fresh = door(&self.url);
        let to = Offset::new(segments * ROWS_OF_A_SEGMENT);
        let span = OffsetSpan { from: Offset::ZERO, to: to.plus(1000) };
        let rows = fresh.read_readings(&self.profile, &self.partition, span).await.unwrap();
        let expected: Vec<LakeReading> = (0..to.get())
            .map(|offset| {
                let FoldedReading { reading, offset, ingested_at, is_duplicate } = self.reading(offset);
                LakeReading { reading, position: self.partition.at(offset), ingested_at, is_duplicate }
            })
            .collect();
        assert!(rows == expected, "{when}: {} rows of {}", rows.len(), expected.len());
        let table = fresh.open_table(&self.profile.name, LakeTable::Readings, None).await.unwrap();
        assert_eq!(table.snapshot().closed_to(&self.partition), Some(to), "{when}");
        table.files.len()
    }

    /// The objects of the table.
    async fn objects(&self) -> BTreeSet<String> {
        let folder = Path::from("household/readings");
        let listed = self.lake.store().objects().list(Some(&folder));
        // One that is deleted while it is listed is no error here.
        listed.filter_map(async |meta| meta.ok().map(|meta| meta.location.to_string())).collect().await
    }

    /// Runs a command and kills it as soon as it has made or deleted so many objects; `true` if it ended before that.
    async fn kill_after(&self, changes: usize, args: &[&str]) -> bool {
        let before = self.objects().await;
        let mut child = self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{args:?}: {status}");
                return true;
            }
            if self.objects().await.symmetric_difference(&before).count() >= changes {
                child.kill().unwrap();
                child.wait().unwrap();
                return false;
            }
        }
    }
}

fn door(url: &str) -> DeltaLake {
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    DeltaLake::new(LakeStore::open(url, &environment).unwrap(), Arc::new(SystemClock))
}

fn succeeded(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_compactions_and_an_appending_member_at_once_lose_nothing_and_double_nothing() {
    two_at_once(Lake::in_a_folder()).await;
}

#[cfg(feature = "service-tests")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_s3_two_compactions_and_an_appending_member_at_once_lose_nothing_and_double_nothing() {
    two_at_once(Lake::on_s3()).await;
}

async fn two_at_once(lake: Lake) {
    lake.close(40).await;
    let compactions: Vec<_> = (0..2)
        .map(|_| {
            let mut command = lake.command(&["--json", "batch", "compact"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    lake.close(20).await;
    let mut merged = 0;
    for compaction in compactions {
        let report = succeeded(&compaction.wait_with_output().unwrap());
        merged += report["tables"][0]["merged_files"].as_u64().unwrap();
    }
    assert!(merged >= 40, "{merged} files were merged");
    lake.assert_whole(60, "after two at once").await;
    let report = succeeded(&lake.run(&["--json", "batch", "compact"]));
    let files = lake.assert_whole(60, "after a third").await;
    assert_eq!(report["tables"][0]["files"], files);
    assert!(files < 10, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_and_a_vacuum_that_are_killed_at_each_change_of_the_lake_leave_it_whole() {
    killed_at_each_change(Lake::in_a_folder()).await;
}

#[cfg(feature = "service-tests")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_s3_a_compaction_and_a_vacuum_that_are_killed_at_each_change_of_the_lake_leave_it_whole() {
    killed_at_each_change(Lake::on_s3()).await;
}

async fn killed_at_each_change(lake: Lake) {
    let vacuum = ["batch", "vacuum", "--retention", "0", "--force"];
    let (mut segments, mut ended) = (0, (false, false));
    for changes in 1..30 {
        lake.close(3).await;
        segments += 3;
        let compacted = lake.kill_after(changes, &["batch", "compact"]).await;
        lake.assert_whole(segments, &format!("after a compaction that was killed after {changes} changes")).await;
        let vacuumed = lake.kill_after(changes, &vacuum).await;
        lake.assert_whole(segments, &format!("after a vacuum that was killed after {changes} changes")).await;
        ended = (compacted, vacuumed);
        if ended == (true, true) {
            break;
        }
    }
    assert_eq!(ended, (true, true), "they never came to their end");
    for command in [&["batch", "compact"][..], &vacuum] {
        assert!(lake.run(command).status.success());
    }
    lake.assert_whole(segments, "at the end").await;
}

#[test]
fn what_is_not_safe_or_not_known_is_refused_with_what_to_do() {
    let lake = Lake::in_a_folder();
    let stderr = |args: &[&str]| {
        let output = lake.run(args);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(stderr(&["batch", "vacuum", "--retention", "0"]).contains("--force"));
    assert!(stderr(&["batch", "compact", "--table", "models"]).contains("dead_letters"));
    assert!(stderr(&["batch", "compact", "--target-size", "0"]).contains("1..=1024"));
    let nothing = succeeded(&lake.run(&["--json", "batch", "compact"]));
    assert_eq!(nothing["tables"], serde_json::json!([]), "a stream without a lake has nothing to compact");
    assert_eq!(succeeded(&lake.run(&["--json", "batch", "vacuum"]))["states"], 0);
}
