//! Roll-ups are the lake's rows summed by window, published with the boundary.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_batch::{
    BatchError, Summary as _,
    ingest::{ColumnChoice, NoProgress},
    jobs::{
        compact::{CompactRequest, compact},
        explain::explain,
        rollup::{RollupOutcome, RollupRequest, rollup},
    },
};
use kilowatch_shared::{
    job::JobStatus,
    lake::{LakeTable, paths::data_file},
    position::DeviceId,
    rollup::{Partial, RollupKey},
    views::UsageQuery,
};
use object_store::ObjectStoreExt as _;
use proptest::prelude::*;

use crate::bench_room::{Room, assert_same_windows, instant, minute, request, uci};
use crate::live::LivePartition;

fn key(hour: &str, measure: &str) -> RollupKey {
    RollupKey {
        device: DeviceId::parse("meter-0001").unwrap(),
        window_secs: 3600,
        window_start: instant(hour),
        measure: measure.to_owned(),
        group: String::new(),
    }
}

async fn merged(room: &Room, measure: &str) -> Vec<(DateTime<Utc>, Partial)> {
    let query = UsageQuery {
        stream: room.profile.name.clone(),
        device: None,
        group: None,
        measure: measure.to_owned(),
        window_secs: 3600,
        from: instant("2006-01-01T00:00:00Z"),
        until: instant("2009-01-01T00:00:00Z"),
        limit: 1000,
    };
    let usage = room.deps.views.usage(&query).await.unwrap();
    usage.windows.into_iter().map(|window| (window.start, window.partial)).collect()
}

#[tokio::test]
async fn a_window_holds_its_rows_and_one_without_a_value_is_not_there() {
    let room = Room::new().await;
    let lines = [
        "1/1/2007;00:00:00;2.000;?;240;10;0;0;0",
        "1/1/2007;00:59:00;4.000;?;242;10;0;0;0",
        "1/1/2007;01:00:00;?;?;?;?;?;?;",
        "1/1/2007;02:00:00;8.000;0.5;244;10;0;0;0",
    ];
    room.ingest_bytes("a.txt", &uci(&lines)).await;
    let report = room.rollup(false).await;
    assert_eq!((report.outcome, report.full, report.boundary.lake_version), (RollupOutcome::Published, true, Some(0)));
    let published = room.published().await;
    let expected = Partial { count: 2, sum: 6.0, min: 2.0, max: 4.0, sum_squares: 20.0 };
    assert_eq!(published.get(&key("2006-12-31T23:00:00Z", "active_power")), Some(&expected));
    assert_eq!(published.get(&key("2006-12-31T23:00:00Z", "reactive_power")), None);
    assert!(published.keys().all(|key| key.window_start != instant("2007-01-01T00:00:00Z")), "missing is not zero");
    assert_eq!(published.get(&key("2007-01-01T01:00:00Z", "reactive_power")), Some(&Partial::of(0.5)));
    assert_eq!(published.len() as u64, report.partials);
    assert_eq!(report.partials, 6 + 7);
}

#[tokio::test]
async fn nothing_new_is_skipped_and_said_so() {
    let room = Room::new().await;
    assert_eq!(room.rollup(false).await.outcome, RollupOutcome::UpToDate);
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0)])).await;
    assert_eq!(room.rollup(false).await.outcome, RollupOutcome::Published);
    assert_eq!(room.rollup(false).await.outcome, RollupOutcome::UpToDate);
    assert_eq!(room.rollup(true).await.outcome, RollupOutcome::Published);
    let runs = room.deps.views.recent_job_runs(&room.profile.name, 10).await.unwrap();
    let rollups: Vec<JobStatus> = runs.iter().filter(|run| run.job == "rollup").map(|run| run.status).collect();
    assert_eq!(rollups.iter().filter(|status| **status == JobStatus::Skipped).count(), 2);
}

#[tokio::test]
async fn only_the_windows_that_new_rows_touch_are_replaced() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0), &minute(61, 1.0), &minute(130, 1.0)])).await;
    room.rollup(false).await;
    room.ingest_bytes("b.txt", &uci(&[&minute(62, 3.0)])).await;
    let report = room.rollup(false).await;
    assert_eq!((report.full, report.windows, report.partials), (false, Some(1), 7));
    assert_eq!((report.read_files, report.read_rows), (2, Some(3)), "the row of the month before is in a third one");
    assert_eq!(report.sentence(), "1 window published up to lake version 1, from 3 rows of 2 data files");
    let published = room.published().await;
    let touched = published.get(&key("2007-01-01T00:00:00Z", "active_power")).unwrap();
    assert_eq!((touched.count, touched.sum), (2, 4.0));
    assert_eq!(published.get(&key("2006-12-31T23:00:00Z", "active_power")), Some(&Partial::of(1.0)));
}

#[tokio::test]
async fn the_boundary_takes_over_exactly_what_speed_had() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0)])).await;
    let mut live = LivePartition::open(&room).await;
    let start = instant("2006-12-31T23:30:00Z");
    for at in 0..50 {
        live.read(start + TimeDelta::minutes(at), &[2.0, 0.1, 240.0, 8.0, 0.0, 0.0, 0.0]);
    }
    live.apply(&room).await;
    room.rollup(false).await;
    let before = merged(&room, "active_power").await;
    assert_eq!(before.iter().map(|(_, partial)| partial.count).collect::<Vec<_>>(), [31, 20]);
    live.append(&room).await;
    let report = room.rollup(false).await;
    assert_eq!((report.full, report.windows), (false, Some(2)));
    assert_eq!(report.boundary.partitions.values().map(|end| end.get()).collect::<Vec<_>>(), [50]);
    assert!(report.cleared_speed_rows > 0);
    assert_eq!(merged(&room, "active_power").await, before, "the seam moved and no value with it");
}

#[tokio::test]
async fn a_lake_that_ends_between_two_cuts_is_not_published() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0)])).await;
    let mut live = LivePartition::open(&room).await;
    live.read(instant("2007-01-01T00:00:00Z"), &[2.0]);
    // The lake gets what the views never recorded a cut for.
    live.append(&room).await;
    let refused = rollup(&room.deps, &room.profile, &RollupRequest::default()).await.unwrap_err();
    assert!(
        matches!(&refused, BatchError::Contended { reason, .. } if reason.contains("not a recorded cut")),
        "{refused}"
    );
    assert!(room.published().await.is_empty());
    assert_eq!(room.deps.views.boundary(&room.profile.name).await.unwrap().lake_version, None);
}

#[tokio::test]
async fn a_live_row_whose_key_a_file_brought_is_marked_and_counts_no_more() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0), &minute(1, 1.0)])).await;
    room.rollup(false).await;
    let mut live = LivePartition::open(&room).await;
    live.read(instant("2006-12-31T23:01:00Z"), &[9.0, 0.1, 240.0, 8.0, 0.0, 0.0, 0.0]);
    live.read(instant("2006-12-31T23:02:00Z"), &[3.0, 0.1, 240.0, 8.0, 0.0, 0.0, 0.0]);
    live.close(&room).await;
    let report = room.rollup(false).await;
    assert_eq!((report.superseded_rows, report.windows), (1, Some(1)));
    let window = room.published().await[&key("2006-12-31T23:00:00Z", "active_power")];
    assert_eq!((window.count, window.sum, window.max), (3, 5.0, 3.0));
    let marked = "SELECT source_offset FROM readings WHERE superseded";
    assert_eq!(room.number(marked).await, 0);
    assert_eq!(room.number("SELECT COUNT(*) FROM readings").await, 4, "the row itself stays");
    assert_eq!(room.rollup(false).await.outcome, RollupOutcome::UpToDate);
    let incremental = room.published().await;
    room.rollup(true).await;
    assert_same_windows(&incremental, &room.published().await);
    assert_eq!(room.verify().await.differing(), 0);
}

/// Minutes of three days with a value each; files overlap and repeat.
fn files() -> impl Strategy<Value = Vec<Vec<(u32, u16, bool)>>> {
    prop::collection::vec(prop::collection::vec((0_u32..4320, 0_u16..5000, any::<bool>()), 1..40), 1..5)
}

fn file_bytes(rows: &[(u32, u16, bool)]) -> Vec<u8> {
    let lines: Vec<String> = rows
        .iter()
        .map(|(at, value, missing)| {
            let power = if *missing { "?".to_owned() } else { format!("{}.{:03}", value / 1000, value % 1000) };
            // The days around the end of January: two buckets.
            let (day, at) = (at / 1440, at % 1440);
            let date = ["31/1/2007", "1/2/2007", "2/2/2007"][day as usize];
            format!("{date};{:02}:{:02}:00;{power};?;240.5;1.0;0;0;{}", at / 60, at % 60, value % 7)
        })
        .collect();
    uci(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn incremental_roll_ups_of_any_files_equal_a_full_one(files in files(), live_at in 0_usize..5) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let room = Room::new().await;
            let mut live = LivePartition::open(&room).await;
            for (index, rows) in files.iter().enumerate() {
                room.ingest_bytes(&format!("{index}.txt"), &file_bytes(rows)).await;
                if index == live_at % files.len() {
                    let start = instant("2007-01-31T12:00:00Z");
                    for (at, value, _) in rows {
                        live.read(start + TimeDelta::minutes(i64::from(*at)), &[f64::from(*value) / 1000.0]);
                    }
                    live.close(&room).await;
                }
                room.rollup(false).await;
            }
            let incremental = room.published().await;
            room.rollup(true).await;
            assert_same_windows(&incremental, &room.published().await);
            assert_eq!(room.verify().await.differing(), 0);
        });
    }
}

#[tokio::test]
async fn tags_split_the_windows_and_every_length_holds_the_same_values() {
    let mut room = Room::new().await;
    room.profile.tags = vec!["floor".to_owned(), "wing".to_owned(), "note".to_owned()];
    room.profile.rollup_tags = vec!["wing".to_owned(), "floor".to_owned()];
    room.profile.rollup_windows_secs = vec![900, 3600];
    let mut request = request(&room.write(
        "a.csv",
        b"timestamp,active_power,floor,wing,note\n\
          2007-01-01T00:00:00Z,1,4,west,x\n\
          2007-01-01T00:10:00Z,2,4,west,y\n\
          2007-01-01T00:20:00Z,4,4,east,\n\
          2007-01-01T00:50:00Z,8,,east,z\n",
    ));
    request.columns = ColumnChoice::parse_list("active_power=active_power").unwrap();
    room.ingest(&request).await.unwrap();
    let report = room.rollup(false).await;
    let published = room.published().await;
    assert_eq!(published.len() as u64, report.partials);
    let sum = |secs: u32, start: &str, group: &str| {
        let key = RollupKey { window_secs: secs, group: group.to_owned(), ..key(start, "active_power") };
        published.get(&key).map(|partial| partial.sum)
    };
    assert_eq!(sum(900, "2007-01-01T00:00:00Z", "west/4"), Some(3.0));
    assert_eq!(sum(900, "2007-01-01T00:15:00Z", "east/4"), Some(4.0));
    assert_eq!(sum(900, "2007-01-01T00:45:00Z", "east/"), Some(8.0), "a missing tag leaves its place empty");
    assert_eq!(sum(3600, "2007-01-01T00:00:00Z", "west/4"), Some(3.0));
    assert_eq!(sum(3600, "2007-01-01T00:00:00Z", "east/"), Some(8.0));
    assert_eq!(published.len(), 3 + 3);
    assert_eq!(room.verify().await.differing(), 0);
}

#[tokio::test]
async fn a_rollup_explains_which_commits_touched_what_and_what_came_of_it() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0), &minute(1, 2.0), &minute(70, 3.0)])).await;
    let first = room.rollup(false).await;
    let explained = explain(&room.deps, &room.profile, &first).await.unwrap();
    assert_eq!((explained.since, explained.until, explained.changes), (None, Some(0), None));
    assert_eq!(explained.commits[0].windows, Some(2));

    room.ingest_bytes("late.txt", &uci(&[&minute(2, 5.0), &minute(140, 7.0)])).await;
    let second = room.rollup(false).await;
    let explained = explain(&room.deps, &room.profile, &second).await.unwrap();
    assert_eq!((explained.since, explained.until, explained.commits.len()), (Some(0), Some(1), 1));
    assert_eq!(explained.commits[0].windows, Some(2));
    let changes = explained.changes.unwrap();
    assert_eq!((changes.rows.added, changes.rows.removed, changes.rows.changed), (2, 0, 0));
    assert_eq!((changes.new_hours, changes.revised_hours), (7, 7));
    let power = changes.examples.iter().find(|hour| hour.measure == "active_power").unwrap();
    assert_eq!((power.before, power.after), ((2, 3.0), (3, 8.0)));
    assert_eq!(power.hour, instant("2006-12-31T23:00:00Z"));

    let nothing = room.rollup(false).await;
    let explained = explain(&room.deps, &room.profile, &nothing).await.unwrap();
    assert_eq!((explained.commits.len(), explained.changes), (0, None));
}

#[tokio::test]
async fn what_a_commit_touched_is_told_after_a_compaction_and_a_vacuum_alike() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0)])).await;
    room.rollup(false).await;
    room.ingest_bytes("b.txt", &uci(&[&minute(70, 2.0), &minute(140, 3.0)])).await;
    for at in [200, 260, 320] {
        room.ingest_bytes(&format!("{at}.txt"), &uci(&[&minute(at, 4.0)])).await;
    }
    compact(&room.deps, &room.profile, &CompactRequest::default(), Arc::new(NoProgress)).await.unwrap();
    assert_eq!(room.version().await, 5, "one merge");
    let report = room.rollup(false).await;
    let windows = async || -> Vec<Option<u64>> {
        let explained = explain(&room.deps, &room.profile, &report).await.unwrap();
        explained.commits.iter().map(|commit| commit.windows).collect()
    };
    assert_eq!(windows().await, [0, 1, 1, 1, 2].map(Some), "newest first; a merge touches none");
    let at_first = room.deps.lake.open_table(&room.profile.name, LakeTable::Readings, Some(1)).await.unwrap();
    for file in at_first.files {
        let _gone = room.deps.lake.store().objects().delete(&data_file(&at_first.folder, &file.path)).await;
    }
    assert_eq!(windows().await[4], None, "its file is gone, and no number is made up");
}
