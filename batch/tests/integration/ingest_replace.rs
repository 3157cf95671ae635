//! Rows that contradict the lake: told of with both values, kept or replaced.

use std::{pin::pin, sync::Arc};

use kilowatch_batch::{
    ingest::{Cell, ColumnChoice, FileOutcome, IngestReport, IngestRequest, NoProgress, OnConflict},
    jobs::{
        compact::{CompactRequest, compact},
        explain::explain,
    },
};
use kilowatch_shared::lake::{AsOf, LakeTable, delta::CommitAuthor};

use crate::{
    bench_room::{Room, assert_same_windows, gzip, instant, minute, request, uci},
    crashes::{poll_times, slow_room},
    live::LivePartition,
};

/// Four hours of minutes of 1 January 2007, local time.
const MINUTES: u32 = 240;

fn minutes(range: std::ops::Range<u32>, value: impl Fn(u32) -> f64) -> Vec<u8> {
    let lines: Vec<String> = range.map(|at| minute(at, value(at))).collect();
    uci(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

fn replacing(room: &Room, name: &str, bytes: &[u8]) -> IngestRequest {
    IngestRequest { on_conflict: OnConflict::Replace, ..request(&room.write(name, bytes)) }
}

async fn replace(room: &Room, name: &str, bytes: &[u8]) -> IngestReport {
    room.ingest(&replacing(room, name, bytes)).await.unwrap()
}

/// The power that counts at a minute after midnight, in whole kW.
async fn power_at(room: &Room, minute: i64) -> i64 {
    let at = instant("2006-12-31T23:00:00Z") + chrono::TimeDelta::minutes(minute);
    let counting = format!(
        "SELECT CAST(SUM(active_power) AS BIGINT) FROM readings
         WHERE NOT superseded AND NOT is_duplicate AND event_time = TIMESTAMP '{}'",
        at.to_rfc3339()
    );
    room.number(&counting).await
}

async fn superseded(room: &Room) -> i64 {
    room.number("SELECT COUNT(*) FROM readings WHERE superseded").await
}

/// Published, whole, with every position once, and one row that counts for each of these minutes.
async fn assert_whole(room: &Room, minutes: i64) {
    let counting = "SELECT COUNT(*) FROM readings WHERE NOT superseded AND NOT is_duplicate";
    assert_eq!(room.number(counting).await, minutes);
    assert_eq!(
        room.number("SELECT COUNT(DISTINCT event_time) FROM readings WHERE NOT superseded AND NOT is_duplicate").await,
        minutes
    );
    room.rollup(false).await;
    let incremental = room.published().await;
    room.rollup(true).await;
    assert_same_windows(&incremental, &room.published().await);
    let report = room.verify().await;
    assert!(report.holds(), "{:?}", report.examples);
}

#[tokio::test]
async fn a_known_file_that_replaces_rows_brings_its_bad_lines_no_second_time() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &minutes(0..10, |_| 1.0)).await;
    let revised = [minutes(0..10, |at| if at == 7 { 9.0 } else { 1.0 }), b"broken\n".to_vec()].concat();
    let kept = room.ingest_bytes("b.txt", &revised).await;
    assert_eq!((kept.bad_lines, kept.known_bad_lines, kept.conflicting_rows), (1, 0, 1));
    let replaced = replace(&room, "b.txt", &revised).await;
    assert_eq!((replaced.bad_lines, replaced.known_bad_lines, replaced.replaced_rows), (0, 1, 1));
    assert!(replaced.bad_line_examples.is_empty(), "{replaced:?}");
    assert!(replaced.summary().ends_with("1 bad lines in the dead letters already"), "{}", replaced.summary());
    let versions = room.deps.lake.versions(&room.profile.name, LakeTable::Readings, None, 1).await.unwrap();
    let CommitAuthor::File { counts, .. } = &versions[0].by else { panic!("{versions:?}") };
    assert_eq!(counts["dead_letters"], 0, "its own commit tells of no new one");
    assert_eq!(room.dead_letters().await.len(), 1);
    assert_whole(&room, 10).await;
}

#[tokio::test]
async fn a_conflict_is_told_with_both_values_and_the_lakes_row_is_kept_unless_it_is_to_be_replaced() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &minutes(0..MINUTES, |_| 1.0)).await;
    let revised = minutes(0..10, |at| if at == 7 { 9.0 } else { 1.0 });
    let kept = room.ingest_bytes("b.txt", &revised).await;
    assert_eq!((kept.rows, kept.replaced_rows, kept.identical_rows, kept.conflicting_rows), (0, 0, 9, 1));
    assert_eq!((power_at(&room, 7).await, superseded(&room).await), (1, 0));
    let conflict = &kept.conflicting_examples[0];
    assert_eq!((conflict.line, conflict.earlier_line, conflict.replaced), (9, None, false));
    let values: Vec<_> =
        conflict.values.iter().map(|of| (of.name.as_str(), of.earlier.clone(), of.now.clone())).collect();
    assert_eq!(
        values,
        [
            ("active_power", Some(Cell::Number(1.0)), Some(Cell::Number(9.0))),
            ("current", Some(Cell::Number(4.0)), Some(Cell::Number(36.0)))
        ]
    );
    let line = "line 9: contradicts what the lake says of meter-0001 at 2006-12-31 23:07:00 UTC: active_power is 9, and not \
                1, current is 36, and not 4; skipped";
    assert!(kept.details().contains(line), "{}", kept.details());

    // The very file that was kept out may come again.
    let replaced = replace(&room, "b.txt", &revised).await;
    assert_eq!((replaced.rows, replaced.replaced_rows, replaced.identical_rows), (0, 1, 9));
    assert!(replaced.details().ends_with("; replaced"), "{}", replaced.details());
    assert_eq!((power_at(&room, 7).await, superseded(&room).await), (9, 1));
    assert_whole(&room, i64::from(MINUTES)).await;
}

#[tokio::test]
async fn the_second_run_of_a_replacement_changes_nothing() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &minutes(0..60, |_| 1.0)).await;
    let revised = minutes(50..70, |_| 2.0);
    let first = replace(&room, "b.txt", &revised).await;
    assert_eq!((first.rows, first.replaced_rows), (10, 10));
    let (version, stored) = (room.version().await, room.stored_data_files().await);
    for name in ["b.txt", "c.txt"] {
        let again = replace(&room, name, &revised).await;
        assert_eq!((again.outcome, again.lake_version), (FileOutcome::AlreadyIngested, first.lake_version));
    }
    // Other bytes with the same rows are another file, which brings nothing.
    let packed = replace(&room, "b.txt.gz", &gzip(&revised)).await;
    assert_eq!((packed.rows, packed.replaced_rows, packed.identical_rows, packed.files), (0, 0, 20, 0));
    assert_eq!((room.version().await, room.stored_data_files().await), (version + 1, stored));
    assert_eq!(superseded(&room).await, 10);
}

#[tokio::test]
async fn an_incremental_roll_up_repairs_exactly_the_windows_that_were_replaced_and_names_them() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &minutes(0..MINUTES, |_| 1.0)).await;
    room.rollup(false).await;
    replace(&room, "b.txt", &uci(&[&minute(7, 3.0), &minute(8, 3.0), &minute(130, 5.0)])).await;
    let report = room.rollup(false).await;
    assert_eq!((report.full, report.windows), (false, Some(2)), "one file was rewritten, and two of its hours changed");
    let explanation = explain(&room.deps, &room.profile, &report).await.unwrap();
    assert_eq!(explanation.commits.iter().map(|commit| commit.windows).collect::<Vec<_>>(), [Some(2)]);
    let hours: std::collections::BTreeSet<_> =
        explanation.changes.unwrap().examples.iter().map(|revised| revised.hour).collect();
    let expected = ["2006-12-31T23:00:00Z", "2007-01-01T01:00:00Z"].map(instant);
    assert_eq!(hours.into_iter().collect::<Vec<_>>(), expected);
    assert_whole(&room, i64::from(MINUTES)).await;
    // Time travel still tells the old state.
    let before = room.deps.lake.open_table_as_of(&room.profile.name, LakeTable::Readings, Some(AsOf::Version(0))).await;
    assert_eq!(before.unwrap().files.iter().filter_map(|file| file.stats.rows).sum::<u64>(), u64::from(MINUTES));
}

#[tokio::test]
async fn a_file_that_was_replaced_counts_again_where_it_stands_when_it_comes_again() {
    let room = Room::new().await;
    let (ours, theirs) = (minutes(0..60, |_| 1.0), minutes(0..60, |at| if at < 5 { 2.0 } else { 1.0 }));
    room.ingest_bytes("a.txt", &ours).await;
    assert_eq!(replace(&room, "b.txt", &theirs).await.replaced_rows, 5);
    let back = replace(&room, "a.txt", &ours).await;
    assert_eq!((back.rows, back.replaced_rows, back.identical_rows, back.files), (0, 5, 55, 0));
    assert_eq!((power_at(&room, 0).await, superseded(&room).await), (1, 5));
    assert_eq!(room.number("SELECT COUNT(*) FROM readings").await, 65, "no position came twice");
    assert_whole(&room, 60).await;
    // And once more the other way.
    assert_eq!(replace(&room, "b.txt", &theirs).await.replaced_rows, 5);
    assert_eq!((power_at(&room, 0).await, superseded(&room).await), (2, 5));
    assert_whole(&room, 60).await;
}

#[tokio::test]
async fn a_known_file_that_is_read_in_another_way_is_refused_and_nothing_changes() {
    let room = Room::new().await;
    let bytes = minutes(0..60, |_| 1.0);
    room.ingest_bytes("a.txt", &bytes).await;
    let version = room.version().await;
    let other_zone =
        IngestRequest { utc_offset: chrono::FixedOffset::east_opt(0), ..replacing(&room, "a.txt", &bytes) };
    let error = room.ingest(&other_zone).await.unwrap_err().to_string();
    assert!(
        error.contains("a.txt: the lake has line 2 of this very file with another device, time or values"),
        "{error}"
    );
    assert_eq!((room.version().await, room.stored_data_files().await.len()), (version, 1));
}

#[tokio::test]
async fn a_line_of_a_known_file_stays_the_row_or_the_dead_letter_that_it_was() {
    let csv = b"timestamp,P,Q\n2007-01-01T00:00:00Z,1,bad\n2007-01-01T00:01:00Z,bad,2\n2007-01-01T00:02:00Z,3,3\n";
    for (first, then) in [("P", "Q"), ("Q", "P")] {
        let room = Room::new().await;
        let asked = |column| {
            let columns = ColumnChoice::parse_list(&format!("active_power={column}")).unwrap();
            IngestRequest { columns, ..replacing(&room, "a.csv", csv) }
        };
        assert_eq!(room.ingest(&asked(first)).await.unwrap().bad_lines, 1);
        let version = room.version().await;
        let error = room.ingest(&asked(then)).await.unwrap_err().to_string();
        assert!(error.contains("a.csv: the lake has line "), "{error}");
        assert_eq!((room.version().await, room.dead_letters().await.len()), (version, 1));
    }
}

#[tokio::test]
async fn two_lines_of_one_file_that_contradict_each_other_are_told_with_both_values_and_the_first_one_counts() {
    for on_conflict in [OnConflict::Keep, OnConflict::Replace] {
        let room = Room::new().await;
        let lines = [minute(5, 1.0), minute(6, 1.0), minute(5, 8.0)];
        let bytes = uci(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let asked = IngestRequest { on_conflict, ..request(&room.write("a.txt", &bytes)) };
        let report = room.ingest(&asked).await.unwrap();
        assert_eq!((report.rows, report.replaced_rows, report.conflicting_rows), (2, 0, 1));
        let conflict = &report.conflicting_examples[0];
        assert_eq!((conflict.line, conflict.earlier_line, conflict.replaced), (4, Some(2), false));
        let power = &conflict.values[0];
        assert_eq!((&power.earlier, &power.now), (&Some(Cell::Number(1.0)), &Some(Cell::Number(8.0))));
        assert_eq!(power_at(&room, 5).await, 1);
        assert_whole(&room, 2).await;
    }
}

#[tokio::test]
async fn a_live_row_is_replaced_as_well_and_one_that_comes_later_is_superseded_by_the_next_roll_up() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    let read = |live: &mut LivePartition, minute: i64, power: f64| {
        let at = instant("2006-12-31T23:00:00Z") + chrono::TimeDelta::minutes(minute);
        live.read(at, &[power, 0.1, 240.0, 4.0, 0.0, 1.0, 17.0]);
    };
    read(&mut live, 2, 5.0);
    live.close(&room).await;
    room.rollup(false).await;
    let report = replace(&room, "a.txt", &minutes(0..10, |_| 1.0)).await;
    assert_eq!((report.rows, report.replaced_rows), (9, 1));
    assert_eq!((power_at(&room, 2).await, superseded(&room).await), (1, 1));
    assert_whole(&room, 10).await;
    read(&mut live, 3, 7.0);
    live.close(&room).await;
    assert_eq!(room.rollup(false).await.superseded_rows, 1);
    assert_eq!((power_at(&room, 3).await, superseded(&room).await), (1, 2));
    // A file that replaces the file's row leaves the live one superseded.
    replace(&room, "b.txt", &uci(&[&minute(3, 4.0)])).await;
    assert_eq!((power_at(&room, 3).await, superseded(&room).await), (4, 3));
    assert_whole(&room, 10).await;
}

#[tokio::test]
async fn a_compaction_keeps_the_marks() {
    let room = Room::new().await;
    for part in 0..8 {
        room.ingest_bytes(&format!("{part}.txt"), &minutes(part * 10..part * 10 + 10, |_| 1.0)).await;
    }
    replace(&room, "b.txt", &minutes(0..80, |at| if at % 2 == 0 { 2.0 } else { 1.0 })).await;
    let report = compact(&room.deps, &room.profile, &CompactRequest::default(), Arc::new(NoProgress)).await.unwrap();
    assert!(report.tables[0].merged_files > 1, "{report:?}");
    assert_eq!((superseded(&room).await, power_at(&room, 4).await), (40, 2));
    assert_whole(&room, 80).await;
    replace(&room, "c.txt", &uci(&[&minute(4, 6.0)])).await;
    assert_eq!((superseded(&room).await, power_at(&room, 4).await), (41, 6));
    assert_whole(&room, 80).await;
}

#[tokio::test]
async fn a_replacement_that_dies_anywhere_leaves_the_old_state_or_the_new_one() {
    let revised = minutes(20..70, |at| if at % 2 == 0 { 2.0 } else { 1.0 });
    for polls in 0.. {
        let room = slow_room().await;
        room.ingest_bytes("a.txt", &minutes(0..60, |_| 1.0)).await;
        let asked = replacing(&room, "b.txt", &revised);
        let ended = {
            let mut dying = pin!(room.ingest(&asked));
            poll_times(&mut dying, polls).await
        };
        let (rows, marked) = (room.number("SELECT COUNT(*) FROM readings").await, superseded(&room).await);
        assert!([(60, 0), (90, 20)].contains(&(rows, marked)), "{rows} rows, {marked} marked after {polls} polls");
        let again = room.ingest(&asked).await.unwrap();
        if marked > 0 {
            assert_eq!(again.outcome, FileOutcome::AlreadyIngested, "after {polls} polls");
        }
        assert_eq!(superseded(&room).await, 20, "after {polls} polls");
        assert_whole(&room, 70).await;
        if ended.is_some() {
            assert!(polls > 5, "the replacement was never stopped on its way");
            return;
        }
    }
}

#[tokio::test]
async fn a_compaction_and_a_segment_that_come_in_between_anywhere_lose_nothing() {
    let revised = minutes(20..70, |at| if at % 2 == 0 { 2.0 } else { 1.0 });
    for polls in 0.. {
        let room = slow_room().await;
        for part in 0..4 {
            room.ingest_bytes(&format!("{part}.txt"), &minutes(part * 15..part * 15 + 15, |_| 1.0)).await;
        }
        let mut live = LivePartition::open(&room).await;
        let asked = replacing(&room, "b.txt", &revised);
        let (report, ended) = {
            let mut replacing = pin!(room.ingest(&asked));
            let early = poll_times(&mut replacing, polls).await;
            let between = async {
                // The first minute contradicts the file, the second one is new.
                for (minute, power) in [(22, 7.0), (75, 1.0)] {
                    let at = instant("2006-12-31T23:00:00Z") + chrono::TimeDelta::minutes(minute);
                    live.read(at, &[power, 0.1, 240.0, 4.0, 0.0, 1.0, 17.0]);
                }
                live.close(&room).await;
                let request = CompactRequest::default();
                compact(&room.deps, &room.profile, &request, Arc::new(NoProgress)).await.unwrap();
            };
            match early {
                Some(report) => {
                    between.await;
                    (report.unwrap(), true)
                }
                None => (tokio::join!(replacing, between).0.unwrap(), false),
            }
        };
        assert_eq!(report.read_rows, 50);
        room.rollup(false).await;
        assert_eq!((power_at(&room, 22).await, power_at(&room, 75).await), (2, 1), "after {polls} polls");
        assert_whole(&room, 71).await;
        if ended {
            assert!(polls > 5, "nothing came in between");
            return;
        }
    }
}
