//! Nothing comes in twice: files, and rows of device and time.

use std::sync::Arc;

use kilowatch_batch::{
    ingest::{FileOutcome, NoProgress},
    jobs::ingest::ingest,
};
use kilowatch_shared::{job::JobStatus, lake::LakeTable};

use crate::bench_room::{Room, gzip, instant, minute, request, uci};
use crate::live::LivePartition;

fn minutes(range: std::ops::Range<u32>, value: f64) -> Vec<u8> {
    let lines: Vec<String> = range.map(|at| minute(at, value)).collect();
    uci(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test]
async fn a_second_run_and_the_same_bytes_under_another_name_change_nothing_and_say_so() {
    let room = Room::new().await;
    let bytes = minutes(0..10, 1.0);
    let first = room.ingest_bytes("a.txt", &bytes).await;
    for name in ["a.txt", "b.txt"] {
        let again = room.ingest_bytes(name, &bytes).await;
        assert_eq!(again.outcome, FileOutcome::AlreadyIngested);
        assert_eq!((again.rows, again.files, again.lake_version), (0, 0, first.lake_version));
        assert!(again.summary().contains("already ingested"), "{}", again.summary());
    }
    assert_eq!((room.version().await, room.number("SELECT COUNT(*) FROM readings").await), (0, 10));
    let runs = room.deps.views.recent_job_runs(&room.profile.name, 10).await.unwrap();
    let statuses: Vec<JobStatus> = runs.iter().map(|run| run.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == JobStatus::Skipped).count(), 2);
    assert_eq!(statuses.iter().filter(|status| **status == JobStatus::Succeeded).count(), 1);
}

#[tokio::test]
async fn rows_that_another_file_brought_are_skipped_as_identical_or_conflicting() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &minutes(0..10, 1.0)).await;
    // Minutes 5 to 9 again, of which 7 says something else, and 10 to 12 new.
    let lines: Vec<String> = (5..13).map(|at| minute(at, if at == 7 { 9.0 } else { 1.0 })).collect();
    let second = room.ingest_bytes("b.txt", &uci(&lines.iter().map(String::as_str).collect::<Vec<_>>())).await;
    assert_eq!((second.rows, second.identical_rows, second.conflicting_rows), (3, 4, 1));
    assert_eq!(second.read_rows, second.rows + second.identical_rows + second.conflicting_rows);
    let conflict = &second.conflicting_examples[0];
    assert_eq!((conflict.line, conflict.earlier_line), (4, None));
    assert_eq!(conflict.event_time, instant("2006-12-31T23:07:00Z"));
    assert_eq!(second.identical_examples.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 3, 5, 6]);
    assert_eq!(room.number("SELECT COUNT(*) FROM readings").await, 13);
    let kept = "SELECT CAST(active_power AS BIGINT) FROM readings WHERE event_time = TIMESTAMP '2006-12-31T23:07:00Z'";
    assert_eq!(room.number(kept).await, 1, "the row that was there first stays");
}

#[tokio::test]
async fn a_few_late_rows_are_compared_with_a_large_file_of_the_lake() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &minutes(0..1000, 1.0)).await;
    // Of one minute that is there twice in the late file, one that contradicts, one the same, and two that are new.
    let late = [minute(500, 1.0), minute(7, 9.0), minute(1000, 1.0), minute(500, 1.0), minute(1001, 1.0)];
    let report = room.ingest_bytes("late.txt", &uci(&late.iter().map(String::as_str).collect::<Vec<_>>())).await;
    assert_eq!((report.rows, report.identical_rows, report.conflicting_rows), (2, 2, 1));
    assert_eq!(room.number("SELECT COUNT(*) FROM readings").await, 1002);
}

#[tokio::test]
async fn the_same_rows_in_other_bytes_bring_nothing_new_and_are_known_afterwards() {
    let room = Room::new().await;
    let bytes = minutes(0..100, 1.5);
    room.ingest_bytes("a.txt", &bytes).await;
    let packed = room.ingest_bytes("a.txt.gz", &gzip(&bytes)).await;
    assert_eq!((packed.outcome, packed.rows, packed.identical_rows), (FileOutcome::Ingested, 0, 100));
    assert_eq!((packed.files, room.number("SELECT COUNT(*) FROM readings").await), (0, 100));
    let again = room.ingest_bytes("c.txt.gz", &gzip(&bytes)).await;
    assert_eq!(again.outcome, FileOutcome::AlreadyIngested);
}

#[tokio::test]
async fn a_row_that_is_repeated_inside_a_file_counts_once_wherever_it_stands() {
    let room = Room::new().await;
    let lines = [minute(5, 1.0), minute(3, 1.0), minute(5, 1.0), minute(4, 1.0), minute(3, 7.0), minute(6, 1.0)];
    let report = room.ingest_bytes("a.txt", &uci(&lines.iter().map(String::as_str).collect::<Vec<_>>())).await;
    assert_eq!((report.rows, report.identical_rows, report.conflicting_rows), (4, 1, 1));
    assert!(report.identical_examples[0].within_file && report.identical_examples[0].line == 4);
    assert!(report.conflicting_examples[0].earlier_line == Some(3) && report.conflicting_examples[0].line == 6);
    assert_eq!(room.number("SELECT COUNT(*) FROM readings").await, 4);
    assert_eq!(room.number("SELECT CAST(MAX(active_power) AS BIGINT) FROM readings").await, 1);
}

#[tokio::test]
async fn a_row_that_came_live_is_not_taken_from_a_file() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    // Minute 2 with the values that the file has, minute 3 with others.
    live.read(instant("2006-12-31T23:02:00Z"), &[1.0, 0.1, 240.02, 4.0, 0.0, 1.0, 17.0]);
    live.read(instant("2006-12-31T23:03:00Z"), &[5.0, 0.1, 240.03, 4.0, 0.0, 1.0, 17.0]);
    live.close(&room).await;
    let report = room.ingest_bytes("a.txt", &minutes(0..10, 1.0)).await;
    assert_eq!((report.rows, report.identical_rows, report.conflicting_rows), (8, 1, 1));
    assert_eq!(room.number("SELECT COUNT(*) FROM readings").await, 10);
}

#[tokio::test]
async fn of_two_files_at_once_each_key_comes_in_once() {
    let room = Room::new().await;
    let a = request(&room.write("a.txt", &minutes(0..60, 1.0)));
    let b = request(&room.write("b.txt", &minutes(30..90, 1.0)));
    let c = request(&room.write("c.txt", &minutes(0..90, 1.0)));
    let run = |request| {
        let (deps, profile) = (room.deps.clone(), room.profile.clone());
        tokio::spawn(async move { ingest(&deps, &profile, &request, Arc::new(NoProgress)).await.unwrap() })
    };
    let (a, b, c) = (run(a), run(b), run(c));
    let reports = [a.await.unwrap(), b.await.unwrap(), c.await.unwrap()];
    assert_eq!(reports.iter().map(|report| report.rows).sum::<u64>(), 90);
    assert_eq!(reports.iter().map(|report| report.identical_rows).sum::<u64>(), 60 + 60 + 90 - 90);
    assert_eq!(room.number("SELECT COUNT(*) FROM readings").await, 90);
    assert_eq!(room.number("SELECT COUNT(DISTINCT event_time) FROM readings").await, 90);
    // The data files of a try that lost its commit are gone again.
    let table = room.deps.lake.open_table(&room.profile.name, LakeTable::Readings, None).await.unwrap();
    assert_eq!(room.stored_data_files().await.len(), table.files.len());
}

#[tokio::test]
async fn of_two_ingests_of_one_file_at_once_one_finds_it_there_and_no_dead_letter_comes_twice() {
    let room = Room::new().await;
    let mut bytes = minutes(0..60, 1.0);
    bytes.extend_from_slice(b"broken\n");
    let asked = request(&room.write("a.txt", &bytes));
    let (one, two) = tokio::join!(room.ingest(&asked), room.ingest(&asked));
    let mut outcomes = [one.unwrap().outcome, two.unwrap().outcome];
    outcomes.sort_by_key(|outcome| *outcome == FileOutcome::AlreadyIngested);
    assert_eq!(outcomes, [FileOutcome::Ingested, FileOutcome::AlreadyIngested]);
    assert_eq!((room.number("SELECT COUNT(*) FROM readings").await, room.dead_letters().await.len()), (60, 1));
    // One data file of readings, one of dead letters.
    assert_eq!(room.stored_data_files().await.len(), 2);
}
