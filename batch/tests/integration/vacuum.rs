//! A vacuum deletes what nobody can ask for any more, and only that.

use std::{collections::BTreeMap, pin::pin, sync::Arc};

use chrono::{TimeDelta, Utc};
use kilowatch_batch::{
    BatchDeps, BatchError, RetentionConfig,
    ingest::NoProgress,
    jobs::{
        compact::{CompactRequest, compact},
        vacuum::{VacuumReport, VacuumRequest, VacuumedTable, vacuum},
    },
};
use kilowatch_shared::{
    clock::FixedClock,
    lake::{
        LakeError, LakeTable, SavedState, SegmentLake,
        delta::{DeltaLake, TableFiles},
        files::encode_file,
        schema::{readings_schema, readings_to_batch},
        store::LakeStore,
    },
    position::Offset,
};
use object_store::ObjectStoreExt;

use crate::{
    bench_room::{Room, assert_same_windows, instant},
    crashes::{poll_times, slow_room},
    live::LivePartition,
};

/// The same room so many days later, seen by another process.
pub fn days_later(room: &Room, days: i64) -> BatchDeps {
    let clock = Arc::new(FixedClock(Utc::now() + TimeDelta::days(days)));
    let lake = Arc::new(DeltaLake::new(room.deps.lake.store().clone(), clock.clone()));
    BatchDeps { lake, clock, views: room.deps.views.clone() }
}

pub async fn vacuumed(deps: &BatchDeps, room: &Room) -> VacuumReport {
    vacuum(deps, &room.profile, &VacuumRequest::default(), Arc::new(NoProgress)).await.unwrap()
}

async fn compacted(room: &Room) {
    compact(&room.deps, &room.profile, &CompactRequest::default(), Arc::new(NoProgress)).await.unwrap();
}

fn readings(report: &VacuumReport) -> &VacuumedTable {
    report.tables.iter().find(|table| table.table == "readings").unwrap()
}

async fn opened(deps: &BatchDeps, room: &Room, version: Option<i64>) -> Result<TableFiles, LakeError> {
    deps.lake.open_table(&room.profile.name, LakeTable::Readings, version).await
}

async fn close_segments(room: &Room, live: &mut LivePartition, minutes: std::ops::Range<i64>, each: i64) {
    for at in minutes {
        let instant = instant("2007-01-01T00:00:00Z") + TimeDelta::minutes(at);
        live.read(instant, &[1.0 + at as f64 / 8.0, 0.1, 240.0, 8.0, 0.0, 0.0, 0.0]);
        if (at + 1) % each == 0 {
            live.close(room).await;
        }
    }
}

/// A room of six segments that were merged, of which the last version is published.
async fn merged_room(room: Room) -> (Room, LivePartition) {
    let mut live = LivePartition::open(&room).await;
    close_segments(&room, &mut live, 0..12, 2).await;
    compacted(&room).await;
    room.rollup(false).await;
    (room, live)
}

const ROWS: &str = "SELECT COUNT(*) FROM readings";

#[tokio::test]
async fn merged_files_go_when_their_versions_are_forgotten_and_not_before() {
    let (room, mut live) = merged_room(Room::new().await).await;
    assert_eq!(vacuumed(&days_later(&room, 6), &room).await.files(), 0, "a week has not passed");
    assert_eq!(opened(&room.deps, &room, Some(3)).await.unwrap().files.len(), 4);

    let later = days_later(&room, 8);
    let report = vacuumed(&later, &room).await;
    assert_eq!((readings(&report).data_files, readings(&report).oldest_version), (6, 6));
    assert_eq!(room.stored_data_files().await.len(), 1);
    assert_eq!(room.number(ROWS).await, 12);
    for deps in [&room.deps, &later, &days_later(&room, 9)] {
        let forgotten = opened(deps, &room, Some(5)).await.unwrap_err();
        assert!(matches!(forgotten, LakeError::NoSuchVersion { version: 5, .. }), "{forgotten}");
        assert_eq!(opened(deps, &room, Some(6)).await.unwrap().files.len(), 1);
    }
    assert_eq!(vacuumed(&later, &room).await.files(), 0);
    // Speed and roll-ups go on as if nothing had been.
    close_segments(&room, &mut live, 12..14, 2).await;
    let report = room.rollup(false).await;
    assert_eq!((report.full, report.windows), (false, Some(1)));
    assert_eq!(room.verify().await.differing(), 0);
}

#[tokio::test]
async fn what_the_published_version_and_the_next_roll_up_read_stays_however_old() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    close_segments(&room, &mut live, 0..120, 60).await;
    room.rollup(false).await;
    // New rows, merged with published ones, and then nobody publishes for a month.
    close_segments(&room, &mut live, 120..180, 10).await;
    compacted(&room).await;
    let later = days_later(&room, 30);
    assert_eq!(vacuumed(&later, &room).await.files(), 0);
    assert_eq!(room.verify().await.differing(), 0);
    let report = room.rollup(false).await;
    assert_eq!((report.full, report.windows), (false, Some(1)));
    let incremental = room.published().await;
    room.rollup(true).await;
    assert_same_windows(&incremental, &room.published().await);
    assert_eq!(readings(&vacuumed(&later, &room).await).data_files, 8, "now it is published");
    assert_eq!(room.verify().await.differing(), 0);
}

#[tokio::test]
async fn a_file_that_waits_for_its_commit_stays_and_one_that_waited_for_a_day_goes() {
    let (room, live) = merged_room(Room::new().await).await;
    vacuumed(&days_later(&room, 8), &room).await;
    let span = kilowatch_shared::checkpoint::OffsetSpan { from: Offset::ZERO, to: Offset::new(12) };
    let rows = room.deps.lake.read_readings(&room.profile, &live.partition, span).await.unwrap();
    let batch = readings_to_batch(&room.profile, &rows.iter().collect::<Vec<_>>()).unwrap();
    let encoded = encode_file(&readings_schema(&room.profile), "2007-01-01".parse().unwrap(), &[batch]).unwrap();
    room.deps.lake.put_file(&room.profile, LakeTable::Readings, encoded).await.unwrap();
    let now = days_later(&room, 0);
    assert_eq!(vacuumed(&now, &room).await.files(), 0);
    let forced = VacuumRequest {
        retention: RetentionConfig { versions_days: 0, ..RetentionConfig::default() },
        force: true,
        ..VacuumRequest::default()
    };
    let report = vacuum(&now, &room.profile, &forced, Arc::new(NoProgress)).await.unwrap();
    assert_eq!(readings(&report).data_files, 0, "not even by force");
    assert_eq!(readings(&vacuumed(&days_later(&room, 2), &room).await).data_files, 1);
    assert_eq!(room.number(ROWS).await, 12);
}

#[tokio::test]
async fn a_retention_below_a_day_is_refused_unless_it_is_forced() {
    let (room, _live) = merged_room(Room::new().await).await;
    let asked = VacuumRequest {
        retention: RetentionConfig { versions_days: 0, ..RetentionConfig::default() },
        ..VacuumRequest::default()
    };
    let now = days_later(&room, 0);
    let refused = vacuum(&now, &room.profile, &asked, Arc::new(NoProgress)).await.unwrap_err();
    assert!(matches!(refused, BatchError::UnsafeRetention { days: 0, .. }), "{refused}");
    assert_eq!(room.stored_data_files().await.len(), 7);
    let forced = VacuumRequest { force: true, ..asked };
    let report = vacuum(&now, &room.profile, &forced, Arc::new(NoProgress)).await.unwrap();
    assert_eq!(readings(&report).data_files, 6, "young files that are known to be forgotten");
    assert_eq!(room.number(ROWS).await, 12);
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_deletes_nothing() {
    let (room, _live) = merged_room(Room::new().await).await;
    let later = days_later(&room, 8);
    let (version, stored) = (room.version().await, room.stored_data_files().await);
    let asked = VacuumRequest { dry_run: true, ..VacuumRequest::default() };
    let told = vacuum(&later, &room.profile, &asked, Arc::new(NoProgress)).await.unwrap();
    assert_eq!((room.version().await, room.stored_data_files().await), (version, stored));
    let runs = room.deps.views.recent_job_runs(&room.profile.name, 10).await.unwrap();
    assert!(runs.iter().all(|run| run.job != "vacuum"), "a question is no run: {runs:?}");
    let done = vacuumed(&later, &room).await;
    assert!(told.files() > 0);
    assert_eq!(told.tables, done.tables);
}

#[tokio::test]
async fn the_log_behind_a_checkpoint_goes_after_its_own_time_and_the_table_still_opens() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    close_segments(&room, &mut live, 0..105, 1).await;
    compacted(&room).await;
    room.rollup(false).await;
    let before = opened(&room.deps, &room, None).await.unwrap();
    assert_eq!(readings(&vacuumed(&days_later(&room, 29), &room).await).log_files, 0);
    let later = days_later(&room, 31);
    let report = vacuumed(&later, &room).await;
    assert_eq!(readings(&report).log_files, 105, "all commits before that of the checkpoint");
    for deps in [&room.deps, &later, &days_later(&room, 32)] {
        let after = opened(deps, &room, None).await.unwrap();
        assert_eq!((after.files, after.closed), (before.files.clone(), before.closed.clone()));
        assert!(matches!(opened(deps, &room, Some(50)).await, Err(LakeError::NoSuchVersion { .. })));
    }
    close_segments(&room, &mut live, 105..106, 1).await;
    assert_eq!(room.rollup(false).await.windows, Some(1));
    assert_eq!(room.verify().await.differing(), 0);
}

#[tokio::test]
async fn of_the_saved_states_the_newest_stay_and_one_a_day() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    close_segments(&room, &mut live, 0..20, 2).await;
    for offset in [2_u64, 4, 6, 8, 10, 12, 14, 16, 22] {
        let state = SavedState { offset: Offset::new(offset), cuts: Vec::new(), state: b"state".to_vec().into() };
        room.deps.lake.save_state(&live.partition, &state).await.unwrap();
    }
    assert_eq!(vacuumed(&days_later(&room, 0), &room).await.states, 3);
    let left = room.deps.lake.load_states(&live.partition, Offset::new(99), 99).await.unwrap();
    let left: Vec<u64> = left.iter().map(|state| state.offset.get()).collect();
    assert_eq!(left, [22, 16, 14, 12, 10, 8], "five at or below L, and those above it");
}

#[tokio::test]
async fn a_vacuum_that_dies_anywhere_leaves_a_table_that_opens_and_the_next_one_ends_it() {
    for polls in 0.. {
        let (room, mut live) = merged_room(slow_room().await).await;
        let later = days_later(&room, 8);
        let asked = VacuumRequest::default();
        let ended = {
            let mut dying = pin!(vacuum(&later, &room.profile, &asked, Arc::new(NoProgress)));
            poll_times(&mut dying, polls).await
        };
        assert_eq!(room.number(ROWS).await, 12, "after {polls} polls");
        // A version that opens has all its files.
        for version in 0..=6 {
            match opened(&days_later(&room, 8), &room, Some(version)).await {
                Err(LakeError::NoSuchVersion { .. }) => {}
                found => assert!(room.deps.lake.are_stored(&found.unwrap()).await.unwrap(), "after {polls} polls"),
            }
        }
        close_segments(&room, &mut live, 12..14, 2).await;
        vacuumed(&days_later(&room, 8), &room).await;
        assert_eq!(room.stored_data_files().await.len(), 2, "after {polls} polls");
        assert_eq!(room.number(ROWS).await, 14, "after {polls} polls");
        assert_eq!(room.verify().await.differing(), 0, "after {polls} polls");
        if ended.is_some() {
            assert!(polls > 5, "the vacuum was never stopped on its way");
            return;
        }
    }
}

#[tokio::test]
async fn a_log_whose_checkpoint_cannot_be_read_is_left_whole() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    close_segments(&room, &mut live, 0..105, 1).await;
    compacted(&room).await;
    room.rollup(false).await;
    let log = format!("{}/readings/_delta_log", room.profile.name);
    let objects = room.deps.lake.store().objects();
    let checkpoint = object_store::path::Path::from(format!("{log}/{:020}.checkpoint.parquet", 105));
    objects.put(&checkpoint, "no Parquet".into()).await.unwrap();
    objects.delete(&object_store::path::Path::from(format!("{log}/_last_checkpoint"))).await.unwrap();
    let failed = vacuum(&days_later(&room, 31), &room.profile, &VacuumRequest::default(), Arc::new(NoProgress)).await;
    assert!(failed.is_err());
    assert_eq!(room.number(ROWS).await, 105);
    assert_eq!(opened(&days_later(&room, 31), &room, Some(50)).await.unwrap().closed.len(), 1);
}

#[tokio::test]
async fn what_a_writer_that_died_left_half_written_goes_after_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let store = LakeStore::open(folder.path().to_str().unwrap(), &BTreeMap::new()).unwrap();
    let (room, _live) = merged_room(Room::over(store).await).await;
    let left = folder.path().join(room.profile.name.as_str()).join("readings").join("part-1.parquet#4711");
    std::fs::write(&left, "half a file").unwrap();
    assert_eq!(vacuumed(&days_later(&room, 0), &room).await.staged_files, 0);
    let report = vacuumed(&days_later(&room, 2), &room).await;
    assert_eq!((report.staged_files, report.staged_bytes, left.exists()), (1, 11, false));
}
