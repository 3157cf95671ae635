//! `verify` finds what differs, and nothing where nothing does.

use chrono::TimeDelta;
use kilowatch_shared::{
    checkpoint::Boundary,
    job::JobStatus,
    position::DeviceId,
    rollup::{Partial, RollupKey, RollupRow},
    views::{Publication, ReplacedWindows, StageId},
};

use crate::bench_room::{Room, instant, minute, uci};
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
    let key = RollupKey {
        device: DeviceId::parse("meter-0001").unwrap(),
        window_secs: 3600,
        window_start: instant("2006-12-31T23:00:00Z"),
        measure: "voltage".to_owned(),
        group: String::new(),
    };
    let stage = StageId(uuid::Uuid::new_v4());
    let wrong = RollupRow { key, partial: Partial::of(1.0) };
    room.deps.views.stage_rollups(stage, &room.profile.name, &[wrong]).await.unwrap();
    let boundary: Boundary = room.deps.views.boundary(&room.profile.name).await.unwrap();
    let publication = Publication {
        stream: room.profile.name.clone(),
        expected: boundary.clone(),
        next: boundary,
        stage,
        replaces: ReplacedWindows::Touched(Vec::new()),
    };
    room.deps.views.publish(&publication).await.unwrap();
    let report = room.verify().await;
    assert_eq!((report.partials.checked, report.partials.differing), (7, 1));
    assert!(report.examples[0].contains("voltage"), "{:?}", report.examples);
}
