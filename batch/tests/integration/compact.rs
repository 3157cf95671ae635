//! A compaction changes which files hold the rows, and nothing else that anybody can ask for.

use std::{pin::pin, sync::Arc};

use chrono::TimeDelta;
use kilowatch_batch::{
    BatchDeps, Summary,
    ingest::NoProgress,
    jobs::{
        compact::{CompactReport, CompactRequest, CompactedTable, compact},
        vacuum::{VacuumRequest, vacuum},
    },
};
use kilowatch_shared::{
    clock::FixedClock,
    dead_letter::DeadLetter,
    job::JobStatus,
    lake::{
        CommitOutcome, LakeTable, Segment, SegmentLake,
        delta::{DeltaLake, TableFiles},
    },
    position::Offset,
};
use proptest::prelude::*;

use crate::{
    bench_room::{Room, assert_same_windows, instant, minute, request, uci},
    crashes::{poll_times, slow_room},
    live::LivePartition,
    vacuum::days_later,
};

async fn compacted(deps: &BatchDeps, room: &Room) -> CompactReport {
    compact(deps, &room.profile, &CompactRequest::default(), Arc::new(NoProgress)).await.unwrap()
}

/// Another process with the same lake. Its views are its own: a job that stands still may hold what the views share.
async fn another_process(room: &Room) -> BatchDeps {
    let lake = Arc::new(DeltaLake::new(room.deps.lake.store().clone(), room.deps.clock.clone()));
    BatchDeps { lake, views: Room::new().await.deps.views, clock: room.deps.clock.clone() }
}

fn of(report: &CompactReport, table: LakeTable) -> &CompactedTable {
    report.tables.iter().find(|found| found.table == table.folder_name()).unwrap()
}

async fn readings(room: &Room) -> TableFiles {
    room.deps.lake.open_table(&room.profile.name, LakeTable::Readings, None).await.unwrap()
}

fn live_minute(live: &mut LivePartition, minute: i64, power: f64) {
    let at = instant("2006-12-31T23:00:00Z") + TimeDelta::minutes(minute);
    live.read(at, &[power, 0.1, 240.0, 8.0, 0.0, 0.0, 0.0]);
}

/// Segments of the first minutes, some of each.
async fn close_segments(room: &Room, live: &mut LivePartition, minutes: std::ops::Range<i64>, each: i64) {
    for at in minutes {
        live_minute(live, at, 1.0 + at as f64 / 8.0);
        if (at + 1) % each == 0 {
            live.close(room).await;
        }
    }
}

/// Everything about the rows that a query can tell.
const FACTS: &str = "SELECT CAST(COUNT(*) * 1000000 + COUNT(DISTINCT source_offset || source) * 1000
                     + SUM(active_power) * 8 AS BIGINT) FROM readings";

#[tokio::test]
async fn small_files_become_one_and_every_row_is_read_back_as_it_was() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    close_segments(&room, &mut live, 0..40, 4).await;
    room.rollup(false).await;
    let (before, facts) = (readings(&room).await, room.number(FACTS).await);
    let span = kilowatch_shared::checkpoint::OffsetSpan { from: Offset::new(3), to: Offset::new(33) };
    let rows = room.deps.lake.read_readings(&room.profile, &live.partition, span).await.unwrap();
    let cuts = room.deps.lake.committed_cuts(&live.partition, span).await.unwrap();

    let report = compacted(&room.deps, &room).await;
    let done = of(&report, LakeTable::Readings);
    assert_eq!((done.merged_files, done.written_files, done.rows, done.files), (10, 1, 40, 1));
    assert_eq!(report.status(), JobStatus::Succeeded);
    let after = readings(&room).await;
    assert_eq!((after.files.len(), &after.closed), (1, &before.closed));
    assert_eq!(room.number(FACTS).await, facts);
    assert_eq!(room.deps.lake.read_readings(&room.profile, &live.partition, span).await.unwrap(), rows);
    assert_eq!(room.deps.lake.committed_cuts(&live.partition, span).await.unwrap(), cuts);
    assert_eq!((rows.len(), cuts.len()), (30, 8));
    // The older version is still there, and speed goes on.
    let old = room.deps.lake.open_table(&room.profile.name, LakeTable::Readings, Some(before.version)).await.unwrap();
    assert_eq!(old.files, before.files);
    close_segments(&room, &mut live, 40..44, 4).await;
    room.rollup(false).await;
    let report = room.verify().await;
    assert_eq!((report.differing(), report.replayed_readings), (0, 44), "{:?}", report.examples);
}

#[tokio::test]
async fn a_second_compaction_finds_nothing_to_do_and_commits_nothing() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    close_segments(&room, &mut live, 0..12, 2).await;
    compacted(&room.deps, &room).await;
    let version = room.version().await;
    let again = compacted(&room.deps, &room).await;
    assert_eq!(
        (again.status(), again.sentence().as_str()),
        (JobStatus::Skipped, "no data files that are worth merging")
    );
    assert_eq!(room.version().await, version);
    assert_eq!(room.stored_data_files().await.len(), 6 + 1, "the small files stay for older versions");
}

#[tokio::test]
async fn rows_inside_a_file_are_in_the_order_of_devices_and_times() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    for at in [5, 3, 9, 1, 7, 2] {
        live_minute(&mut live, at, 1.0);
        live.close(&room).await;
    }
    compacted(&room.deps, &room).await;
    let in_order = "SELECT COUNT(*) FROM (SELECT event_time, LAG(event_time) OVER () AS before FROM readings)
                    WHERE before > event_time";
    assert_eq!(room.number(in_order).await, 0);
    assert_eq!(readings(&room).await.files.len(), 1);
}

#[tokio::test]
async fn a_compaction_touches_no_window_and_new_rows_are_told_from_old_ones_in_the_file_that_it_wrote() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    close_segments(&room, &mut live, 0..300, 50).await;
    room.rollup(false).await;
    compacted(&room.deps, &room).await;
    let report = room.rollup(false).await;
    assert_eq!((report.full, report.windows, report.partials), (false, Some(0), 0));

    // Two hours more, merged with what is published before anybody looks.
    close_segments(&room, &mut live, 300..420, 5).await;
    compacted(&room.deps, &room).await;
    let report = room.rollup(false).await;
    assert_eq!((report.full, report.windows), (false, Some(2)));
    let incremental = room.published().await;
    room.rollup(true).await;
    assert_same_windows(&incremental, &room.published().await);
}

#[tokio::test]
async fn a_live_row_that_a_file_supersedes_is_found_in_the_file_that_it_was_merged_into() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    close_segments(&room, &mut live, 0..6, 2).await;
    room.rollup(false).await;
    room.ingest_bytes("a.txt", &uci(&[&minute(70, 5.0)])).await;
    room.rollup(false).await;
    // Its first row repeats one of the file.
    close_segments(&room, &mut live, 70..76, 1).await;
    compacted(&room.deps, &room).await;
    let report = room.rollup(false).await;
    assert_eq!((report.full, report.superseded_rows), (false, 1));
    compacted(&room.deps, &room).await;
    assert_eq!(room.number("SELECT COUNT(*) FROM readings WHERE superseded").await, 1, "a mark survives a merge");
    let incremental = room.published().await;
    room.rollup(true).await;
    assert_same_windows(&incremental, &room.published().await);
    assert_eq!(room.verify().await.differing(), 0);
}

#[tokio::test]
async fn a_file_that_was_ingested_stays_known_and_its_rows_stay_apart_from_live_ones() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    for at in 0..4_u32 {
        room.ingest_bytes(&format!("{at}.txt"), &uci(&[&minute(600 + at, 1.0)])).await;
    }
    close_segments(&room, &mut live, 0..4, 1).await;
    let report = compacted(&room.deps, &room).await;
    assert_eq!(of(&report, LakeTable::Readings).files, 2);
    let sources = |file: &kilowatch_shared::lake::delta::LakeFile| file.stats.source.clone().unwrap();
    assert!(readings(&room).await.files.iter().map(|file| sources(file)).all(|(from, to)| from[..4] == to[..4]));
    let again = room.ingest(&request(&room.path("2.txt"))).await.unwrap();
    assert_eq!(again.outcome, kilowatch_batch::ingest::FileOutcome::AlreadyIngested);
}

#[tokio::test]
async fn the_newest_dead_letters_are_still_the_newest() {
    let room = Room::new().await;
    let live = LivePartition::open(&room).await;
    let letter = |offset: u64| DeadLetter {
        position: live.partition.at(Offset::new(offset)),
        key: None,
        raw: bytes_of(offset),
        reason: "not JSON".to_owned(),
        seen_at: instant("2007-01-01T00:00:00Z") + TimeDelta::minutes(offset.cast_signed()),
    };
    let close = async |from: u64, to: u64| {
        let now = letter(to).seen_at;
        let lake = DeltaLake::new(room.deps.lake.store().clone(), Arc::new(FixedClock(now)));
        let base = lake.snapshot(&room.profile.name, LakeTable::DeadLetters).await.unwrap();
        let span = kilowatch_shared::checkpoint::OffsetSpan { from: Offset::new(from), to: Offset::new(to) };
        let rows: Vec<DeadLetter> = (from..to).map(letter).collect();
        let segment = Segment { partition: live.partition.clone(), span, rows, cuts: Vec::new() };
        let outcome = lake.append_dead_letters(&room.profile, &base, &[segment]).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed(_)));
    };
    for at in 0..8 {
        close(at * 2, at * 2 + 2).await;
    }
    let newest = room.deps.lake.newest_dead_letters(&room.profile.name, 16).await.unwrap();
    let report = compacted(&room.deps, &room).await;
    assert_eq!(of(&report, LakeTable::DeadLetters).files, 1);
    assert_eq!(room.deps.lake.newest_dead_letters(&room.profile.name, 16).await.unwrap(), newest);
    close(16, 17).await;
    let newest = room.deps.lake.newest_dead_letters(&room.profile.name, 1).await.unwrap();
    assert_eq!(newest[0].position.offset, Offset::new(16), "a merged file is no newer than its letters");
}

fn bytes_of(offset: u64) -> bytes::Bytes {
    vec![0xff, 0x00, u8::try_from(offset).unwrap()].into()
}

#[tokio::test]
async fn a_column_that_the_profile_forgot_is_kept() {
    let mut room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    close_segments(&room, &mut live, 0..4, 1).await;
    let forgotten = room.profile.measures.pop().unwrap().name;
    let sum = format!("SELECT CAST(SUM(active_power + {forgotten}) * 8 AS BIGINT) FROM readings");
    let before = room.number(&sum).await;
    compacted(&room.deps, &room).await;
    assert_eq!(readings(&room).await.files.len(), 1);
    assert_eq!(room.number(&sum).await, before);
}

#[tokio::test]
async fn after_a_hundred_commits_the_log_has_a_checkpoint() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    close_segments(&room, &mut live, 60..159, 1).await;
    let report = compacted(&room.deps, &room).await;
    assert_eq!(of(&report, LakeTable::Readings).checkpoint, Some(99));
    let fresh = DeltaLake::new(room.deps.lake.store().clone(), room.deps.clock.clone());
    let table = fresh.open_table(&room.profile.name, LakeTable::Readings, None).await.unwrap();
    assert_eq!((table.files.len(), &table.closed), (1, &readings(&room).await.closed));
}

#[tokio::test]
async fn a_compaction_that_dies_anywhere_loses_and_doubles_nothing_and_the_next_one_ends_it() {
    for polls in 0.. {
        let room = slow_room().await;
        let mut live = LivePartition::open(&room).await;
        close_segments(&room, &mut live, 0..12, 2).await;
        room.rollup(false).await;
        let facts = room.number(FACTS).await;
        let asked = CompactRequest::default();
        let ended = {
            let mut dying = pin!(compact(&room.deps, &room.profile, &asked, Arc::new(NoProgress)));
            poll_times(&mut dying, polls).await
        };
        let fresh = Arc::new(DeltaLake::new(room.deps.lake.store().clone(), room.deps.clock.clone()));
        for lake in [room.deps.lake.clone(), fresh] {
            let deps = BatchDeps { lake, ..room.deps.clone() };
            let table = deps.lake.open_table(&room.profile.name, LakeTable::Readings, None).await.unwrap();
            assert!([1, 6].contains(&table.files.len()), "after {polls} polls: {} files", table.files.len());
        }
        assert_eq!(room.number(FACTS).await, facts, "after {polls} polls");
        let next = compacted(&room.deps, &room).await;
        assert_eq!(of(&next, LakeTable::Readings).files, 1, "after {polls} polls");
        assert_eq!(room.number(FACTS).await, facts, "after {polls} polls");
        assert_eq!(room.verify().await.differing(), 0, "after {polls} polls");
        if ended.is_some() {
            assert!(polls > 5, "the compaction was never stopped on its way");
            return;
        }
    }
}

#[tokio::test]
async fn of_two_compactions_at_once_one_gives_way_wherever_the_other_comes_in_between() {
    let mut overtaken = 0;
    // Every other step, because each of the two takes two hundred.
    for polls in (0..).step_by(2) {
        let room = slow_room().await;
        let mut live = LivePartition::open(&room).await;
        close_segments(&room, &mut live, 0..12, 4).await;
        let facts = room.number(FACTS).await;
        let other = another_process(&room).await;
        let asked = CompactRequest::default();
        let ended = {
            let mut first = pin!(compact(&room.deps, &room.profile, &asked, Arc::new(NoProgress)));
            let ended = poll_times(&mut first, polls).await;
            compacted(&other, &room).await;
            // And a segment of speed, which nobody may hold up.
            live_minute(&mut live, 12, 2.0);
            let was_first = ended.is_some();
            let rest = async {
                match ended {
                    Some(report) => report,
                    None => first.await,
                }
            };
            let (report, ()) = tokio::join!(rest, live.close(&room));
            overtaken += of(&report.unwrap(), LakeTable::Readings).overtaken;
            was_first
        };
        assert_eq!(room.number("SELECT COUNT(*) FROM readings").await, 13, "after {polls} polls");
        assert_eq!(room.number("SELECT COUNT(DISTINCT source_offset) FROM readings").await, 13);
        assert!(room.number(FACTS).await > facts);
        assert!(readings(&room).await.files.len() <= 2, "after {polls} polls");
        if ended {
            break;
        }
    }
    assert!(overtaken > 0, "no compaction was ever overtaken");
}

/// What happens to the table, one after the other, each in pieces.
#[derive(Debug, Clone)]
enum Event {
    Segment(u8),
    File(u8),
    RollUp,
    /// Stopped after so many polls, as by a crash.
    Compaction(usize),
    /// Ten days later, stopped after so many polls.
    Vacuum(usize),
    /// Two at once, of which the first stands still after so many polls until the other is done.
    TwoCompactions(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (1_u8..20).prop_map(Event::Segment),
        2 => (1_u8..6).prop_map(Event::File),
        2 => Just(Event::RollUp),
        2 => (0_usize..120).prop_map(Event::Compaction),
        2 => (0_usize..120).prop_map(Event::Vacuum),
        1 => (0_usize..120).prop_map(Event::TwoCompactions),
    ];
    prop::collection::vec(event, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn whatever_happens_between_compactions_and_vacuums_nothing_is_lost_and_nothing_comes_twice(events in events()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let room = slow_room().await;
            let mut live = LivePartition::open(&room).await;
            let (mut rows, mut next, mut filed) = (0_i64, 0_i64, 0_u32);
            for event in &events {
                match event {
                    Event::Segment(count) => {
                        for _ in 0..*count {
                            live_minute(&mut live, next, 1.0 + next as f64 / 8.0);
                            next += 1;
                        }
                        live.close(&room).await;
                        rows += i64::from(*count);
                    }
                    Event::File(count) => {
                        let lines: Vec<String> =
                            (0..*count).map(|at| minute(900 + filed * 8 + u32::from(at), 2.0)).collect();
                        let text: Vec<&str> = lines.iter().map(String::as_str).collect();
                        room.ingest_bytes(&format!("{filed}.txt"), &uci(&text)).await;
                        filed += 1;
                        rows += i64::from(*count);
                    }
                    Event::RollUp => {
                        room.rollup(false).await;
                    }
                    Event::Compaction(polls) => {
                        let asked = CompactRequest::default();
                        let mut dying = pin!(compact(&room.deps, &room.profile, &asked, Arc::new(NoProgress)));
                        poll_times(&mut dying, *polls).await;
                    }
                    Event::Vacuum(polls) => {
                        let (later, asked) = (days_later(&room, 10), VacuumRequest::default());
                        let mut dying = pin!(vacuum(&later, &room.profile, &asked, Arc::new(NoProgress)));
                        poll_times(&mut dying, *polls).await;
                    }
                    Event::TwoCompactions(polls) => {
                        let asked = CompactRequest::default();
                        let mut first = pin!(compact(&room.deps, &room.profile, &asked, Arc::new(NoProgress)));
                        if poll_times(&mut first, *polls).await.is_none() {
                            compacted(&another_process(&room).await, &room).await;
                            first.await.unwrap();
                        }
                    }
                }
                if rows > 0 {
                    assert_eq!(room.number("SELECT COUNT(*) FROM readings").await, rows);
                    let positions = "SELECT COUNT(DISTINCT source || '/' || source_offset) FROM readings";
                    assert_eq!(room.number(positions).await, rows);
                }
            }
            room.rollup(false).await;
            let incremental = room.published().await;
            let report = room.verify().await;
            assert_eq!(report.differing(), 0, "{:?}", report.examples);
            room.rollup(true).await;
            assert_same_windows(&incremental, &room.published().await);
        });
    }
}
