//! An erased device is nowhere any more, and everything else is as it was.

use std::{collections::BTreeMap, path::Path, pin::pin, sync::Arc};

use arrow::json::LineDelimitedWriter;
use chrono::{TimeDelta, Utc};
use futures::TryStreamExt;
use kilowatch_batch::{
    BatchDeps, BatchError, RetentionConfig,
    ingest::{FileOutcome, IngestRequest, NoProgress, OnConflict},
    jobs::{
        compact::{CompactRequest, compact},
        erase::{EraseReport, EraseRequest, erase},
        vacuum::{VacuumRequest, vacuum},
    },
};
use kilowatch_shared::{
    anomaly::Anomaly,
    lake::store::LakeStore,
    position::DeviceId,
    rollup::{Partial, RollupKey, RollupRow},
    views::{Audit, ErasedRows, StageId, sqlite::SqliteViews},
};
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use uuid::Uuid;

use crate::{
    bench_room::{Room, assert_same_windows, instant, minute, uci},
    crashes::{poll_times, slow_room},
    live::LivePartition,
    vacuum::days_later,
};

const GONE: &str = "villa-4711";
const OF_ANOTHER: &str = r#"{"device_id": "meter-0001", "timestamp": "late"}"#;
const ROWS_OF_GONE: &str = "SELECT COUNT(*) FROM readings WHERE device_id = 'villa-4711'";
const TOMBSTONES: &str = "SELECT COUNT(*) FROM readings WHERE device_id = ''";

fn gone() -> DeviceId {
    DeviceId::parse(GONE).unwrap()
}

fn asked(dry_run: bool) -> EraseRequest {
    asked_of(gone(), dry_run)
}

/// The views of a room stamp what they stage by the machine's clock, so the request is of now as well.
fn asked_of(device: DeviceId, dry_run: bool) -> EraseRequest {
    let audit = Audit { at: Utc::now(), by: "ada@ops".to_owned(), reason: "they moved".to_owned() };
    EraseRequest { device, dry_run, audit, retention: RetentionConfig::default() }
}

async fn erased(deps: &BatchDeps, room: &Room) -> Result<EraseReport, BatchError> {
    erase(deps, &room.profile, &asked(false), Arc::new(NoProgress)).await
}

#[tokio::test]
async fn a_file_that_held_an_erased_device_does_not_bring_it_back() {
    let room = Room::new().await;
    let file = IngestRequest::new(room.write("a.txt", &uci(&[&minute(0, 1.0), &minute(1, 3.0)])), gone());
    room.ingest(&file).await.unwrap();
    let report = erased(&room.deps, &room).await.unwrap();
    assert_eq!(report.readings, 2);
    let again = room.ingest(&file).await.unwrap();
    assert_eq!(again.outcome, FileOutcome::AlreadyIngested);
    let replacing = IngestRequest { on_conflict: OnConflict::Replace, ..file };
    let error = room.ingest(&replacing).await.unwrap_err().to_string();
    assert!(error.contains("a device was erased whose rows are in this file"), "{error}");
    assert_eq!((room.number(ROWS_OF_GONE).await, room.number(TOMBSTONES).await), (0, 2));
}

/// A minute of both meters, of which the gone one is loud now and then.
fn both(live: &mut LivePartition, at: i64) {
    let instant = instant("2007-01-01T00:00:00Z") + TimeDelta::minutes(at);
    let power = |loud: bool| if loud { 50.0 } else { 1.0 + (at % 7) as f64 / 10.0 };
    let voltage = 240.0 + (at % 5) as f64;
    live.read(instant, &[power(at == 150), 0.1, voltage, 4.0, 0.0, 0.0, 0.0]);
    live.read_of_device(GONE, instant, &[power(at % 80 == 79), 0.1, voltage, 4.0, 0.0, 0.0, 0.0]);
}

/// Files and three segments of both meters, and two messages of which one names the gone meter; nobody is at work.
async fn lived_in(room: &Room, minutes: i64) -> LivePartition {
    for (device, at) in [("meter-0001", 700), (GONE, 600)] {
        // The same bytes are one file, so each meter has another line.
        let file = room.write(&format!("{at}.txt"), &uci(&[&minute(0, 1.0), &minute(at, 3.0)]));
        room.ingest(&IngestRequest::new(file, DeviceId::parse(device).unwrap())).await.unwrap();
    }
    let mut live = LivePartition::open(room).await;
    for at in 0..minutes {
        both(&mut live, at);
        if at == minutes / 2 {
            live.read_garbage(instant("2007-01-01T00:00:00Z"), "{\"meter_id\": \"villa-4711\"");
            live.read_garbage(instant("2007-01-01T00:00:00Z"), "villa-47110 is another one");
        }
        if (at + 1) % (minutes / 3) == 0 {
            live.close(room).await;
            if at < minutes / 2 {
                live.save_state(room).await;
            }
        }
    }
    live.release(room).await;
    room.rollup(false).await;
    live
}

/// What is published, the alarms and the letters, of all other devices.
async fn others(room: &Room, live: &LivePartition) -> (BTreeMap<RollupKey, Partial>, Vec<Anomaly>) {
    let mut windows = room.published().await;
    windows.retain(|key, _| key.device != gone());
    let mut anomalies = room.deps.views.anomalies_of(&live.partition).await.unwrap();
    anomalies.retain(|anomaly| anomaly.device != gone());
    (windows, anomalies)
}

async fn assert_holds(room: &Room, what: &str) {
    let report = room.verify().await;
    assert!(report.holds(), "{what}: {:?} {:?}", report.examples, report.not_replayed);
}

#[tokio::test]
async fn an_erased_device_is_gone_and_every_position_and_all_others_stay() {
    let room = Room::new().await;
    let mut live = lived_in(&room, 240).await;
    assert_holds(&room, "before").await;
    let (windows, anomalies) = others(&room, &live).await;
    let rows = room.number("SELECT COUNT(*) FROM readings").await;
    let found = erase(&room.deps, &room.profile, &asked(true), Arc::new(NoProgress)).await.unwrap();
    assert_eq!((found.dry_run, found.readings, found.dead_letters), (true, 242, 1));
    assert!(found.views.anomalies > 0, "the gone meter raised alarms");
    assert_eq!(room.number(ROWS_OF_GONE).await, 242, "a look changes nothing");

    let report = erased(&room.deps, &room).await.unwrap();
    assert_eq!((report.readings, report.dead_letters), (242, 1));
    assert_eq!(report.views.anomalies, found.views.anomalies);
    assert_eq!((room.number(ROWS_OF_GONE).await, room.number(TOMBSTONES).await), (0, 242));
    assert_eq!(room.number("SELECT COUNT(*) FROM readings").await, rows, "every position stands");
    let (windows_now, anomalies_now) = others(&room, &live).await;
    assert_same_windows(&windows, &windows_now);
    assert_eq!(windows_now.len(), room.published().await.len(), "and no window of the gone meter");
    assert_eq!(anomalies, anomalies_now);
    let letters: Vec<_> = room.dead_letters().await.into_iter().map(|letter| letter.raw).collect();
    assert_eq!(letters, ["", "villa-47110 is another one"]);
    let devices = room.deps.views.list_devices(&room.profile.name, None, 10).await.unwrap();
    assert!(devices.iter().all(|(device, _)| *device != gone()), "{devices:?}");
    assert_holds(&room, "after").await;

    let on_record = room.deps.views.erasures(&room.profile.name, 10).await.unwrap();
    assert_eq!(on_record[0].device_sha256, gone().sha256());
    assert_eq!((on_record[0].readings, on_record[0].audit.by.as_str()), (242, "ada@ops"));
    let again = erased(&room.deps, &room).await.unwrap();
    assert!(again.is_empty(), "{again:?}");

    // What comes now is new, and judged by detectors that never saw the meter.
    live.restart(&room).await;
    for at in 240..480 {
        both(&mut live, at);
    }
    live.close(&room).await;
    assert!(live.anomalies.iter().any(|anomaly| anomaly.device == gone()), "it raises alarms again");
    room.rollup(false).await;
    assert_eq!(room.number(ROWS_OF_GONE).await, 240);
    assert_holds(&room, "with new readings").await;
}

#[tokio::test]
async fn nobody_is_erased_while_somebody_remembers_or_the_log_has_more_than_the_lake() {
    let room = Room::new().await;
    let mut live = lived_in(&room, 30).await;
    live.claim(&room).await;
    let error = erased(&room.deps, &room).await.unwrap_err();
    assert!(matches!(error, BatchError::StreamAtWork { seen_at: Some(_), .. }), "{error}");
    both(&mut live, 31);
    live.apply(&room).await;
    live.release(&room).await;
    let error = erased(&room.deps, &room).await.unwrap_err();
    assert!(matches!(error, BatchError::NotClosed { .. }), "{error}");
    assert_eq!(room.number(ROWS_OF_GONE).await, 32, "nothing was begun");
    live.append(&room).await;
    assert_eq!(erased(&room.deps, &room).await.unwrap().readings, 33);
    assert_holds(&room, "after").await;
}

#[tokio::test]
async fn nobody_is_erased_while_a_member_has_still_to_apply_what_the_lake_holds() {
    let mut room = Room::new().await;
    lived_in(&room, 30).await;
    // Views from a backup: the member will read the log again, with the device in it.
    room.deps.views = Arc::new(SqliteViews::in_memory().await.unwrap());
    LivePartition::open(&room).await.release(&room).await;
    let error = erased(&room.deps, &room).await.unwrap_err();
    assert!(matches!(error, BatchError::NotClosed { applied, closed, .. } if applied < closed), "{error}");
    assert_eq!(room.number(ROWS_OF_GONE).await, 32, "nothing was begun");
}

#[tokio::test]
async fn the_bad_lines_of_a_device_go_with_it_and_nobody_elses() {
    let room = Room::new().await;
    // The same bytes are one file, so each has another line.
    for (device, value) in [("late", 1.0), ("erased", 2.0), (GONE, 3.0)] {
        let file = room.write("a.txt", &uci(&[&minute(0, value), "a late line", "an erased line"]));
        room.ingest(&IngestRequest::new(file, DeviceId::parse(device).unwrap())).await.unwrap();
    }
    let mut live = LivePartition::open(&room).await;
    for raw in [OF_ANOTHER, "late by a day"] {
        live.read_garbage(instant("2007-01-01T00:00:00Z"), raw);
    }
    live.close(&room).await;
    live.release(&room).await;
    for (device, letters) in [("late", 3), ("erased", 2), (GONE, 2)] {
        let asked = asked_of(DeviceId::parse(device).unwrap(), false);
        let report = erase(&room.deps, &room.profile, &asked, Arc::new(NoProgress)).await.unwrap();
        assert_eq!((report.readings, report.dead_letters), (1, letters), "{device}");
    }
    let left: Vec<_> =
        room.dead_letters().await.into_iter().map(|letter| letter.raw).filter(|raw| !raw.is_empty()).collect();
    assert_eq!(left, [OF_ANOTHER]);
}

#[tokio::test]
async fn a_stream_of_files_alone_is_erased_as_well_and_its_files_stay_known() {
    let room = Room::new().await;
    let file = room.write("a.txt", &uci(&[&minute(0, 1.0), &minute(70, 3.0)]));
    let of_gone = IngestRequest::new(file, gone());
    room.ingest(&of_gone).await.unwrap();
    room.rollup(false).await;
    assert_eq!(erased(&room.deps, &room).await.unwrap().readings, 2);
    assert!(room.published().await.is_empty());
    room.ingest(&of_gone).await.unwrap();
    assert_eq!(room.number(ROWS_OF_GONE).await, 0, "a file that was ingested once brings nothing back");
    assert_holds(&room, "after").await;
}

/// Everything that the lake and the views' file hold, unpacked: no name can hide in a dictionary or behind compression.
async fn everything(room: &Room, views: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let objects: Vec<_> = room.deps.lake.store().objects().list(None).try_collect().await.unwrap();
    for meta in objects {
        let bytes = room.deps.lake.store().objects().get(&meta.location).await.unwrap().bytes().await.unwrap();
        all.push((meta.location.to_string(), bytes.to_vec()));
        if meta.location.extension() == Some("parquet") {
            let mut text = LineDelimitedWriter::new(Vec::new());
            for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
                text.write(&batch.unwrap()).unwrap();
            }
            text.finish().unwrap();
            all.push((format!("{} unpacked", meta.location), text.into_inner()));
        }
    }
    for end in ["", "-wal"] {
        let path = format!("{}{end}", views.display());
        all.push((path.clone(), std::fs::read(path).unwrap_or_default()));
    }
    all
}

/// Where a name stands, as it is or as JSON writes bytes.
fn holding(all: &[(String, Vec<u8>)], name: &str) -> Vec<String> {
    let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    // A longer name that begins like it is another one.
    let is_there = |bytes: &[u8], name: &[u8], longer: &[u8]| {
        (0..bytes.len()).any(|at| bytes[at..].starts_with(name) && !bytes[at..].starts_with(longer))
    };
    let (longer, longer_hex) = (format!("{name}0"), format!("{hex}30"));
    let found = all.iter().filter(|(_, bytes)| {
        is_there(bytes, name.as_bytes(), longer.as_bytes()) || is_there(bytes, hex.as_bytes(), longer_hex.as_bytes())
    });
    found.map(|(place, _)| place.clone()).collect()
}

#[tokio::test]
async fn after_a_vacuum_no_byte_of_its_name_is_left() {
    let mut room = Room::new().await;
    let file = room.path("views.sqlite");
    room.deps.views = Arc::new(SqliteViews::open(&file).await.unwrap());
    let _live = lived_in(&room, 60).await;
    assert!(holding(&everything(&room, &file).await, GONE).len() > 5, "it is in data files, logs, states and views");
    let leftover = room.published().await.into_iter().map(|(key, partial)| RollupRow { key, partial });
    let leftover: Vec<RollupRow> = leftover.filter(|row| row.key.device == gone()).collect();
    assert!(!leftover.is_empty(), "a roll-up that was killed left these on its stage");
    room.deps.views.stage_rollups(StageId(Uuid::new_v4()), &room.profile.name, &leftover).await.unwrap();
    erased(&room.deps, &room).await.unwrap();
    let left = holding(&everything(&room, &file).await, GONE);
    assert!(left.iter().all(|place| place.contains("/readings/") || place.contains("/dead_letters/")), "{left:?}");

    compact(&room.deps, &room.profile, &CompactRequest::default(), Arc::new(NoProgress)).await.unwrap();
    room.rollup(false).await;
    assert_holds(&room, "after a compaction").await;
    let forgetful = VacuumRequest {
        retention: RetentionConfig { versions_days: 0, log_days: 1, ..RetentionConfig::default() },
        dry_run: false,
        force: true,
    };
    vacuum(&days_later(&room, 3), &room.profile, &forgetful, Arc::new(NoProgress)).await.unwrap();
    assert_eq!(holding(&everything(&room, &file).await, GONE), Vec::<String>::new());
    assert_holds(&room, "after a vacuum").await;
    assert_eq!(room.number(TOMBSTONES).await, 62);
}

#[tokio::test]
async fn an_erasure_that_dies_anywhere_is_ended_by_the_next_one() {
    let mut never_stopped = true;
    for polls in (0..).step_by(9) {
        let room = slow_room().await;
        let live = lived_in(&room, 6).await;
        let (windows, _) = others(&room, &live).await;
        let ended = {
            let mut dying = pin!(erased(&room.deps, &room));
            poll_times(&mut dying, polls).await
        };
        never_stopped &= ended.is_some();
        erased(&room.deps, &room).await.unwrap();
        assert_eq!((room.number(ROWS_OF_GONE).await, room.number(TOMBSTONES).await), (0, 8), "after {polls} polls");
        let recorded = room.deps.views.erased_on_record(&room.profile.name, &gone()).await.unwrap();
        assert_eq!(recorded, ErasedRows { readings: 8, letters: 1 }, "each once, after {polls} polls");
        let (windows_now, _) = others(&room, &live).await;
        assert_same_windows(&windows, &windows_now);
        assert_eq!(windows_now.len(), room.published().await.len(), "after {polls} polls");
        assert_holds(&room, &format!("after {polls} polls")).await;
        if ended.is_some() {
            assert!(!never_stopped, "the erasure was never stopped on its way");
            return;
        }
    }
}

#[tokio::test]
async fn a_compaction_beside_it_loses_nothing() {
    let room = Room::over(LakeStore::in_memory()).await;
    lived_in(&room, 30).await;
    let request = CompactRequest::default();
    let (erased, compacted) =
        tokio::join!(erased(&room.deps, &room), compact(&room.deps, &room.profile, &request, Arc::new(NoProgress)));
    erased.unwrap();
    compacted.unwrap();
    assert_eq!((room.number(ROWS_OF_GONE).await, room.number(TOMBSTONES).await), (0, 32));
    room.rollup(false).await;
    assert_holds(&room, "after both").await;
}
