//! Readings that are too old leave the lake, and what was made of them stays as it was served.

use std::{pin::pin, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_batch::{
    RetentionConfig, Summary,
    ingest::{IngestRequest, NoProgress},
    jobs::{
        compact::{CompactRequest, compact},
        erase::{EraseRequest, erase},
        expire::{ExpireReport, ExpireRequest, expire},
    },
};
use kilowatch_shared::{
    job::JobStatus,
    lake::LakeTable,
    position::{DeviceId, Offset},
    views::{Aged, Audit, UsageQuery, UsageWindow},
};

use crate::{
    bench_room::{Room, assert_same_windows, instant, minute, uci},
    crashes::{poll_times, slow_room},
    expire::{assert_holds, deps_at, hours_with_an_alarm},
    live::LivePartition,
    vacuum::{days_later, vacuumed},
};

const ROWS: &str = "SELECT COUNT(*) FROM readings";
/// Ten days back from here lies the fifth of March, and the last bucket that ends before it is that of February.
const NOW: &str = "2007-03-15T03:10:00Z";
const FLOOR: &str = "2007-03-01T00:00:00Z";

fn ten_days() -> RetentionConfig {
    RetentionConfig { readings_days: 10, ..RetentionConfig::default() }
}

async fn expired(room: &Room, dry_run: bool) -> ExpireReport {
    let request = ExpireRequest { retention: ten_days(), dry_run };
    expire(&deps_at(room, NOW), &room.profile, &request, Arc::new(NoProgress)).await.unwrap()
}

/// What is served of the first measure, hour by hour.
async fn served(room: &Room) -> Vec<UsageWindow> {
    let query = UsageQuery {
        stream: room.profile.name.clone(),
        device: None,
        group: None,
        measure: room.profile.measures[0].name.clone(),
        window_secs: 3600,
        from: instant("2000-01-01T00:00:00Z"),
        until: instant("2100-01-01T00:00:00Z"),
        limit: 10_000,
    };
    room.deps.views.usage(&query).await.unwrap().windows
}

fn one(live: &mut LivePartition, at: DateTime<Utc>) {
    live.read(at, &[2.0, 0.1, 240.0, 4.0, 0.0, 0.0, 0.0]);
}

fn villa() -> DeviceId {
    DeviceId::parse("villa-1").unwrap()
}

/// A history file of January and a night with an alarm of each of three months, each saved with the detectors' state.
async fn three_months(room: &Room) -> LivePartition {
    let file = room.write("villa.txt", &uci(&[&minute(0, 1.0), &minute(70, 3.0)]));
    room.ingest(&IngestRequest::new(file, villa())).await.unwrap();
    let mut live = LivePartition::open(room).await;
    for from in ["2007-01-05T00:00:00Z", "2007-02-05T00:00:00Z", "2007-03-05T00:00:00Z"] {
        hours_with_an_alarm(&mut live, from);
        live.close(room).await;
        live.save_state(room).await;
    }
    room.rollup(false).await;
    live
}

#[tokio::test]
async fn readings_go_and_their_windows_stay_whatever_comes_late_or_again() {
    let room = Room::new().await;
    let mut live = three_months(&room).await;
    let (windows, answers) = (room.published().await, served(&room).await);
    assert_eq!(assert_holds(&room, "before").await, 0);
    let asked = expired(&room, true).await;
    assert_eq!((asked.expired[0].what, asked.expired[0].before), (Aged::Readings, instant(FLOOR)));
    assert_eq!((asked.expired[0].lake_rows, room.number(ROWS).await), (482, 722), "a look changes nothing");

    let report = expired(&room, false).await;
    assert_eq!((report.expired[0].lake_rows, report.expired[0].waiting_files), (482, 0));
    assert_eq!(room.number(ROWS).await, 240);
    assert_eq!((room.published().await, served(&room).await), (windows.clone(), answers.clone()));
    assert!(assert_holds(&room, "after").await > 0, "alarms and windows of gone readings are not compared");
    room.rollup(true).await;
    assert_same_windows(&room.published().await, &windows);

    // A late reading below the floor and one above it; a file that says the old rows again, among new ones.
    one(&mut live, instant("2007-01-05T00:00:30Z"));
    one(&mut live, instant("2007-03-06T07:00:00Z"));
    live.close(&room).await;
    live.save_state(&room).await;
    let at_once = served(&room).await;
    let lines = [minute(0, 1.0), minute(70, 9.0), minute(0, 5.0).replace("1/1/2007", "7/3/2007")];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let file = IngestRequest::new(room.write("again.txt", &uci(&lines)), villa());
    let report = room.ingest(&file).await.unwrap();
    assert_eq!((report.read_rows, report.rows, report.too_old_rows), (3, 1, 2));
    assert!(report.summary().contains("2 rows older than the age limit of readings skipped"), "{}", report.summary());
    room.rollup(false).await;
    let now = served(&room).await;
    assert_eq!(now.len(), answers.len() + 2);
    assert_eq!(now[..answers.len()], answers, "the windows below the floor are what they were");
    assert_eq!(at_once[..answers.len()], answers, "also before batch had seen the late reading");
    assert_holds(&room, "with late readings").await;

    let late = expired(&room, false).await;
    assert_eq!((late.expired[0].lake_rows, late.status()), (1, JobStatus::Succeeded), "the late one goes next time");
    assert_eq!(served(&room).await, now);
    assert_holds(&room, "the second time").await;
    let third = expired(&room, false).await;
    assert_eq!((third.status(), third.sentence().as_str()), (JobStatus::Skipped, "nothing is older than its limit"));
    room.rollup(true).await;
    assert_eq!(served(&room).await.len(), now.len());
    assert_holds(&room, "after a full roll-up").await;
}

#[tokio::test]
async fn what_a_replay_still_wants_waits_for_a_state_behind_it_which_a_vacuum_keeps() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    for from in ["2007-01-05T00:00:00Z", "2007-02-05T00:00:00Z", "2007-03-05T00:00:00Z"] {
        hours_with_an_alarm(&mut live, from);
        live.close(&room).await;
        if from == "2007-01-05T00:00:00Z" {
            live.save_state(&room).await;
        }
    }
    let report = expired(&room, false).await;
    assert_eq!((report.expired[0].lake_files, report.expired[0].waiting_files), (1, 1), "no state is behind February");
    assert_eq!(room.number(ROWS).await, 480);
    assert_holds(&room, "with a state").await;

    live.save_state(&room).await;
    assert_eq!(expired(&room, false).await.expired[0].lake_rows, 240);
    let begin = Offset::new(720);
    let table = room.deps.lake.open_table(&room.profile.name, LakeTable::Readings, None).await.unwrap();
    assert_eq!(table.replay_from.into_values().collect::<Vec<_>>(), [begin]);
    for hour in 0..7 {
        one(&mut live, instant("2007-03-07T00:00:00Z") + TimeDelta::hours(hour));
        live.close(&room).await;
        live.save_state(&room).await;
    }
    room.rollup(false).await;
    let vacuumed = vacuumed(&days_later(&room, 60), &room).await;
    assert_eq!(vacuumed.states, 3, "two younger ones and that of January");
    let verified = room.verify().await;
    assert!(verified.holds(), "{:?} {:?}", verified.examples, verified.not_replayed);
    assert_eq!(verified.replayed_readings, 7);
}

#[tokio::test]
async fn an_erased_device_loses_the_windows_of_readings_that_are_gone() {
    let room = Room::new().await;
    let live = three_months(&room).await;
    expired(&room, false).await;
    live.release(&room).await;
    let mut others = room.published().await;
    others.retain(|key, _| key.device != villa());
    let audit = Audit { at: instant(NOW), by: "ada@ops".to_owned(), reason: String::new() };
    let asked = EraseRequest { device: villa(), dry_run: false, audit, retention: RetentionConfig::default() };
    let report = erase(&room.deps, &room.profile, &asked, Arc::new(NoProgress)).await.unwrap();
    assert_eq!(report.readings, 0, "they are gone by their age");
    assert!(report.views.kept_windows > 0 && !report.is_empty());
    assert_eq!(room.published().await, others);
    assert_holds(&room, "after").await;
}

#[tokio::test]
async fn an_expiry_that_dies_anywhere_and_finds_merged_files_afterwards_comes_to_the_same() {
    for polls in (0..).step_by(2) {
        let room = slow_room().await;
        let mut live = LivePartition::open(&room).await;
        for month in ["01", "02", "03"] {
            for day in ["05", "06"] {
                one(&mut live, instant(&format!("2007-{month}-{day}T00:00:00Z")));
                live.close(&room).await;
            }
        }
        live.save_state(&room).await;
        room.rollup(false).await;
        let answers = served(&room).await;
        let request = ExpireRequest { retention: ten_days(), dry_run: false };
        let deps = deps_at(&room, NOW);
        let ended = {
            let mut dying = pin!(expire(&deps, &room.profile, &request, Arc::new(NoProgress)));
            poll_times(&mut dying, polls).await.is_some()
        };
        assert_eq!(served(&room).await, answers, "after {polls} polls");
        compact(&room.deps, &room.profile, &CompactRequest::default(), Arc::new(NoProgress)).await.unwrap();
        room.rollup(false).await;
        expired(&room, false).await;
        assert_eq!((room.number(ROWS).await, served(&room).await), (2, answers), "after {polls} polls");
        assert_holds(&room, "after a death").await;
        if ended {
            assert!(polls > 10, "the expiry was never stopped on its way");
            return;
        }
    }
}
