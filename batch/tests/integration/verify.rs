//! `verify` finds what differs, and nothing where nothing does.

use arrow::{array::RecordBatch, compute::cast, datatypes::FieldRef};
use bytes::Bytes;
use chrono::TimeDelta;
use kilowatch_batch::{
    Summary as _,
    ingest::IngestRequest,
    jobs::verify::{VerifyRequest, verify},
};
use kilowatch_shared::{
    checkpoint::{Boundary, OffsetSpan},
    dead_letter::DeadLetter,
    job::JobStatus,
    lake::{LakeTable, Segment, SegmentLake, delta::Rewrite, files::encode_file, schema::readings_schema},
    position::{DeviceId, Offset},
    rollup::{Partial, RollupKey, RollupRow},
    views::{Publication, PublishedShape, ReplacedWindows, StageId},
};
use object_store::{ObjectStoreExt, path::Path};

use crate::bench_room::{Room, instant, minute, request, uci};
use crate::live::LivePartition;

/// Four hundred quiet minutes and one loud one.
async fn a_live_alarm(room: &Room) -> LivePartition {
    let mut live = LivePartition::open(room).await;
    let start = instant("2007-01-01T00:00:00Z");
    for at in 0..400 {
        let power = if at == 350 { 50.0 } else { 1.0 + f64::from(at % 7) / 10.0 };
        let voltage = 240.0 + f64::from(at % 5);
        live.read(start + TimeDelta::minutes(i64::from(at)), &[power, 0.1, voltage, 4.0, 0.0, 0.0, 0.0]);
    }
    assert!(!live.anomalies.is_empty(), "the loud minute raises no alarm");
    live
}

#[tokio::test]
async fn an_empty_lake_has_nothing_to_differ() {
    let room = Room::new().await;
    let report = room.verify().await;
    assert_eq!((report.lake_version, report.differing()), (None, 0));
}

#[tokio::test]
async fn what_speed_and_batch_brought_is_found_to_be_what_the_lake_says() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0), &minute(70, 2.0)])).await;
    let mut live = a_live_alarm(&room).await;
    live.close(&room).await;
    room.rollup(false).await;
    let report = room.verify().await;
    assert_eq!(report.differing(), 0, "{:?}", report.examples);
    assert_eq!((report.positions.checked, report.replayed_readings), (402, 400));
    assert_eq!(report.anomalies.checked, live.anomalies.len() as u64);
    assert!(report.partials.checked > 0 && report.not_replayed.is_empty());
    let runs = room.deps.views.recent_job_runs(&room.profile.name, 1).await.unwrap();
    assert_eq!((runs[0].job.as_str(), runs[0].status), ("verify", JobStatus::Succeeded));
}

#[tokio::test]
async fn an_alarm_that_is_not_served_is_a_difference() {
    let room = Room::new().await;
    let mut live = a_live_alarm(&room).await;
    let lost = live.anomalies.pop().unwrap();
    live.close(&room).await;
    let report = room.verify().await;
    assert_eq!(report.anomalies.differing, 1);
    assert!(report.examples[0].contains(&lost.position.to_string()), "{:?}", report.examples);
}

#[tokio::test]
async fn an_alarm_with_another_score_is_a_difference() {
    let room = Room::new().await;
    let mut live = a_live_alarm(&room).await;
    live.anomalies[0].verdict.score += 1e-9;
    live.close(&room).await;
    assert_eq!(room.verify().await.anomalies.differing, 1);
}

#[tokio::test]
async fn a_published_window_that_the_lake_does_not_give_is_a_difference() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0)])).await;
    room.rollup(false).await;
    publish(&room, RollupRow { key: a_key(), partial: Partial::of(1.0) }).await;
    let report = room.verify().await;
    assert_eq!((report.partials.checked, report.partials.differing), (7, 1));
    assert!(report.examples[0].contains("voltage"), "{:?}", report.examples);
}

fn a_key() -> RollupKey {
    RollupKey {
        device: DeviceId::parse("meter-0001").unwrap(),
        window_secs: 3600,
        window_start: instant("2006-12-31T23:00:00Z"),
        measure: "voltage".to_owned(),
        group: String::new(),
    }
}

/// Publishes a row beside what is there.
async fn publish(room: &Room, wrong: RollupRow) {
    let stage = StageId(uuid::Uuid::new_v4());
    room.deps.views.stage_rollups(stage, &room.profile.name, &[wrong]).await.unwrap();
    let boundary: Boundary = room.deps.views.boundary(&room.profile.name).await.unwrap();
    let shape = room.deps.views.published_shape(&room.profile.name).await.unwrap();
    let publication = Publication {
        stream: room.profile.name.clone(),
        expected: boundary.clone(),
        next: boundary,
        stage,
        replaces: ReplacedWindows::Touched(Vec::new()),
        shape: PublishedShape { expected: shape.clone(), next: shape },
    };
    room.deps.views.publish(&publication).await.unwrap();
}

/// Puts rows of the table into a further data file, as no program of ours would.
async fn put_again(room: &Room, sql: &str) {
    let rows = room.query(LakeTable::Readings, sql).await;
    let schema = readings_schema(&room.profile);
    let column = |batch: &RecordBatch, field: &FieldRef| {
        cast(batch.column_by_name(field.name()).unwrap(), field.data_type()).unwrap()
    };
    let plain = |batch: &RecordBatch| {
        let columns = schema.fields().iter().map(|field| column(batch, field)).collect();
        RecordBatch::try_new(schema.clone(), columns).unwrap()
    };
    let rows: Vec<RecordBatch> = rows.iter().map(plain).collect();
    let file = encode_file(&schema, "2007-01-01".parse().unwrap(), &rows).unwrap();
    let written = room.deps.lake.put_file(&room.profile, LakeTable::Readings, file).await.unwrap();
    room.deps.lake.replace_files(&room.profile, LakeTable::Readings, &[], &[written], Rewrite::Marked).await.unwrap();
}

#[tokio::test]
async fn a_position_that_stands_twice_is_a_difference() {
    let room = Room::new().await;
    let mut live = a_live_alarm(&room).await;
    live.close(&room).await;
    put_again(&room, "SELECT * FROM readings WHERE source_offset BETWEEN 10 AND 12").await;
    let report = room.verify().await;
    assert_eq!((report.positions.checked, report.positions.differing), (403, 3));
    assert!(report.examples[0].contains("3 rows at positions of other rows"), "{:?}", report.examples);
}

#[tokio::test]
async fn a_position_that_is_a_reading_and_a_dead_letter_is_a_difference() {
    let room = Room::new().await;
    let mut live = a_live_alarm(&room).await;
    live.close(&room).await;
    let letter = DeadLetter {
        position: live.partition.at(Offset::new(7)),
        key: None,
        raw: Bytes::from_static(b"?"),
        reason: "not JSON".to_owned(),
        seen_at: instant("2007-01-01T00:07:00Z"),
    };
    let base = room.deps.lake.snapshot(&room.profile.name, LakeTable::DeadLetters).await.unwrap();
    let span = OffsetSpan { from: Offset::ZERO, to: Offset::new(400) };
    let segment = Segment { partition: live.partition.clone(), span, rows: vec![letter], cuts: Vec::new() };
    room.deps.lake.append_dead_letters(&room.profile, &base, &[segment]).await.unwrap();
    let report = room.verify().await;
    assert_eq!((report.positions.checked, report.positions.differing), (401, 1));
    assert_eq!((report.segments.checked, report.segments.differing), (2, 0));
}

#[tokio::test]
async fn a_hole_between_two_segments_is_a_difference() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    for at in 0..3 {
        live.read(instant("2007-01-01T00:00:00Z") + TimeDelta::minutes(at), &[1.0, 0.1, 240.0, 4.0, 0.0, 0.0, 0.0]);
        live.close(&room).await;
    }
    let report = room.verify().await;
    assert_eq!((report.segments.checked, report.segments.differing), (3, 0), "{:?}", report.examples);
    // A commit that another program made of one of ours, with offsets nobody has closed before it.
    let partition = "log:5f0c:energy-stream/0";
    let facts = serde_json::json!({ "segments": [{ "partition": partition, "from": 5, "to": 9, "cuts": [] }] });
    let lines = [
        serde_json::json!({ "commitInfo": { "timestamp": 1, "operation": "STREAMING UPDATE", "kilowatch": facts } }),
        serde_json::json!({ "txn": { "appId": format!("household/{partition}"), "version": 9 } }),
    ];
    let text = lines.map(|line| line.to_string()).join("\n");
    let path = Path::from(format!("household/readings/_delta_log/{:020}.json", 3));
    room.deps.lake.store().objects().put(&path, text.into()).await.unwrap();
    let report = room.verify().await;
    assert_eq!((report.segments.checked, report.segments.differing), (4, 1));
    assert!(report.examples[0].contains("[5, 9) after one that ended at 3"), "{:?}", report.examples);
    assert!(!report.holds());
}

#[tokio::test]
async fn windows_are_compared_whole_however_few_are_computed_at_once() {
    let room = Room::new().await;
    for (device, power) in [("b", 1.0), ("a", 2.0), ("c", 3.0), ("b/é", 4.0)] {
        let request = IngestRequest {
            device: DeviceId::parse(device).unwrap(),
            ..request(&room.write("a.txt", &uci(&[&minute(0, power), &minute(70, power)])))
        };
        room.ingest(&request).await.unwrap();
    }
    room.rollup(false).await;
    for rows_at_once in [1, 3, 4, 1000] {
        let report = verify(&room.deps, &room.profile, &VerifyRequest { rows_at_once }).await.unwrap();
        assert_eq!((report.partials.checked, report.differing()), (56, 0), "{:?}", report.examples);
    }
    let stray =
        RollupRow { key: RollupKey { device: DeviceId::parse("bb").unwrap(), ..a_key() }, partial: Partial::of(1.0) };
    publish(&room, stray).await;
    for rows_at_once in [1, 1000] {
        let report = verify(&room.deps, &room.profile, &VerifyRequest { rows_at_once }).await.unwrap();
        assert_eq!((report.partials.checked, report.partials.differing), (57, 1));
    }
}

#[tokio::test]
async fn windows_of_another_profile_are_compared_as_they_were_published_and_await_a_roll_up() {
    let mut room = Room::new().await;
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0), &minute(70, 2.0)])).await;
    room.rollup(false).await;
    let published = room.verify().await.partials.checked;
    let whole = room.profile.clone();
    room.profile.measures.truncate(2);
    room.profile.rollup_windows_secs = vec![900, 3600];
    let report = room.verify().await;
    assert_eq!((report.differing(), report.partials.checked, report.awaits_rollup), (0, published, true));
    assert!(report.holds() && report.sentence().ends_with("windows of another profile await the next roll-up"));
    // What differs is found all the same, in a measure that this profile does not have.
    publish(&room, RollupRow { key: a_key(), partial: Partial::of(1.0) }).await;
    assert_eq!(room.verify().await.partials.differing, 1);
    room.rollup(false).await;
    let report = room.verify().await;
    assert_eq!((report.differing(), report.partials.checked, report.awaits_rollup), (0, 8, false));
    room.profile = whole;
    assert!(room.verify().await.awaits_rollup);
}

#[tokio::test]
async fn what_was_found_last_is_kept() {
    let room = Room::new().await;
    room.verify().await;
    assert_eq!(room.deps.views.verifications().await.unwrap(), [], "there was no lake to look at");
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0)])).await;
    room.rollup(false).await;
    room.verify().await;
    let kept = room.deps.views.verifications().await.unwrap();
    assert!(kept.len() == 1 && kept[0].holds() && kept[0].lake_version == 0, "{kept:?}");
    put_again(&room, "SELECT * FROM readings").await;
    room.verify().await;
    let kept = room.deps.views.verifications().await.unwrap();
    assert_eq!((kept.len(), kept[0].differing, kept[0].lake_version), (1, 1, 1));
    assert_eq!((&kept[0].stream, kept[0].verified_at), (&room.profile.name, room.deps.clock.now()));
}
