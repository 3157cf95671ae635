//! What is older than its limit is gone, does not come back, and everything younger is as it was.

use std::{pin::pin, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_batch::{
    BatchDeps, RetentionConfig, Summary,
    ingest::NoProgress,
    jobs::expire::{ExpireReport, ExpireRequest, expire},
};
use kilowatch_shared::{
    clock::FixedClock,
    job::JobStatus,
    lake::LakeTable,
    views::{Aged, AnomalyFilter, DeadLetterFilter},
};

use crate::{
    bench_room::{Room, assert_same_windows, instant},
    crashes::{poll_times, slow_room},
    live::LivePartition,
};

/// The room's jobs as of another time.
pub fn deps_at(room: &Room, now: &str) -> BatchDeps {
    BatchDeps { clock: Arc::new(FixedClock(instant(now))), ..room.deps.clone() }
}

async fn expired(deps: &BatchDeps, room: &Room, retention: &RetentionConfig, dry_run: bool) -> ExpireReport {
    let request = ExpireRequest { retention: retention.clone(), dry_run };
    expire(deps, &room.profile, &request, Arc::new(NoProgress)).await.unwrap()
}

/// Readings a minute apart, of which the last one is so loud that it raises an alarm.
pub fn hours_with_an_alarm(live: &mut LivePartition, from: &str) {
    let from = instant(from);
    for at in 0..240 {
        let power = if at == 239 { 50.0 } else { 1.0 + f64::from(at % 7) / 10.0 };
        live.read(from + TimeDelta::minutes(i64::from(at)), &[power, 0.1, 240.0 + f64::from(at % 5), 4.0, 0., 0., 0.]);
    }
}

/// Two nights a month apart, each with an alarm and a message that is none, published.
async fn two_months(room: &Room) -> LivePartition {
    let mut live = LivePartition::open(room).await;
    for from in ["2007-01-05T00:00:00Z", "2007-02-05T00:00:00Z"] {
        hours_with_an_alarm(&mut live, from);
        live.read_garbage(instant(from), "no JSON");
        live.close(room).await;
    }
    room.rollup(false).await;
    live
}

async fn alarm_times(room: &Room) -> Vec<DateTime<Utc>> {
    let page = room.deps.views.list_anomalies(&room.profile.name, &AnomalyFilter::default(), None, 1000).await;
    page.unwrap().anomalies.iter().map(|alarm| alarm.event_time).collect()
}

/// Verifies; tells how many rows were too old to be compared.
pub async fn assert_holds(room: &Room, what: &str) -> u64 {
    let report = room.verify().await;
    assert!(report.holds(), "{what}: {:?} {:?}", report.examples, report.not_replayed);
    report.too_old
}

/// Ten days for everything that only the views have.
fn ten_days() -> RetentionConfig {
    RetentionConfig { windows_days: 10, anomalies_days: 10, forecasts_days: 10, ..RetentionConfig::default() }
}

#[tokio::test]
async fn without_a_limit_nothing_goes_and_the_job_says_so() {
    let room = Room::new().await;
    two_months(&room).await;
    let before = room.published().await;
    let report = expired(&deps_at(&room, "2107-01-01T03:10:00Z"), &room, &RetentionConfig::default(), false).await;
    assert_eq!(
        (report.status(), report.sentence().as_str()),
        (JobStatus::Skipped, "no age limit is set: everything is kept")
    );
    assert_eq!(room.published().await, before);
}

#[tokio::test]
async fn windows_and_alarms_go_by_age_and_neither_roll_up_nor_late_reading_brings_windows_back() {
    let room = Room::new().await;
    let mut live = two_months(&room).await;
    let (before, alarms) = (room.published().await, alarm_times(&room).await);
    let floor = instant("2007-02-02T00:00:00Z");
    let deps = deps_at(&room, "2007-02-12T17:00:00Z");

    let asked = expired(&deps, &room, &ten_days(), true).await;
    assert!(asked.sentence().starts_with("would delete "), "{}", asked.sentence());
    assert_eq!((room.published().await, alarm_times(&room).await), (before.clone(), alarms.clone()), "a look");
    assert_eq!(deps.views.age_floors(&room.profile.name).await.unwrap().of(Aged::Windows), None);

    let report = expired(&deps, &room, &ten_days(), false).await;
    assert_eq!(report.rows(), asked.rows());
    let mut younger = before.clone();
    younger.retain(|key, _| key.window_start >= floor);
    assert!(!younger.is_empty() && younger.len() < before.len());
    assert_eq!(room.published().await, younger);
    let recent: Vec<_> = alarms.iter().copied().filter(|at| *at >= floor).collect();
    assert!(!recent.is_empty() && recent.len() < alarms.len());
    assert_eq!(alarm_times(&room).await, recent);
    assert!(assert_holds(&room, "after").await == 0, "nothing is left that is too old");

    // One reading too late for its window, and one that is not.
    live.read(instant("2007-01-20T00:00:30Z"), &[2.0, 0.1, 240.0, 4.0, 0.0, 0.0, 0.0]);
    live.read(instant("2007-02-05T00:00:30Z"), &[2.0, 0.1, 240.0, 4.0, 0.0, 0.0, 0.0]);
    live.close(&room).await;
    let rolled = room.rollup(false).await;
    assert_eq!((rolled.full, rolled.windows), (false, Some(1)));
    let published = room.published().await;
    assert!(published.keys().all(|key| key.window_start >= floor), "{published:?}");
    assert_ne!(published, younger);
    room.rollup(true).await;
    assert_same_windows(&room.published().await, &published);
    assert_holds(&room, "with a late reading").await;

    let again = expired(&deps, &room, &ten_days(), false).await;
    assert_eq!((again.status(), again.sentence().as_str()), (JobStatus::Skipped, "nothing is older than its limit"));
    let runs = room.deps.views.recent_job_runs(&room.profile.name, 100).await.unwrap();
    assert_eq!(runs.iter().filter(|run| run.job == "expire").count(), 2, "a look is no run");
}

#[tokio::test]
async fn an_expiry_that_dies_anywhere_is_ended_by_the_next_one() {
    let limits = RetentionConfig { dead_letters_days: 10, ..ten_days() };
    for polls in 0.. {
        let room = slow_room().await;
        two_months(&room).await;
        let deps = deps_at(&room, "2007-03-12T17:00:00Z");
        let ended = {
            let request = ExpireRequest { retention: limits.clone(), dry_run: false };
            let mut dying = pin!(expire(&deps, &room.profile, &request, Arc::new(NoProgress)));
            poll_times(&mut dying, polls).await.is_some()
        };
        expired(&deps, &room, &limits, false).await;
        assert_eq!((room.published().await.len(), alarm_times(&room).await.len()), (0, 0), "after {polls} polls");
        assert_eq!(room.dead_letters().await.len(), 0, "after {polls} polls");
        assert_holds(&room, "after a death").await;
        if ended {
            assert!(polls > 5, "the expiry was never stopped on its way");
            return;
        }
    }
}

#[tokio::test]
async fn dead_letters_leave_the_views_by_the_day_and_the_lake_by_the_bucket() {
    let limits = RetentionConfig { dead_letters_days: 10, ..RetentionConfig::default() };
    let room = Room::new().await;
    two_months(&room).await;
    let in_views = async || {
        let views = &room.deps.views;
        views.list_dead_letters(&room.profile.name, &DeadLetterFilter::default(), None, 10).await.unwrap().len()
    };
    let version = room.deps.lake.open_table(&room.profile.name, LakeTable::DeadLetters, None).await.unwrap().version;
    for (now, in_views_now, in_lake_now) in [
        ("2007-01-15T12:00:00Z", 2, 2),
        ("2007-01-16T00:00:00Z", 1, 2),
        ("2007-02-11T00:00:00Z", 1, 1),
        ("2007-03-10T00:00:00Z", 0, 1),
        ("2007-03-11T00:00:00Z", 0, 0),
    ] {
        let deps = deps_at(&room, now);
        let asked = expired(&deps, &room, &limits, true).await;
        let report = expired(&deps, &room, &limits, false).await;
        assert_eq!(report.expired, asked.expired, "{now}");
        assert_eq!((in_views().await, room.dead_letters().await.len()), (in_views_now, in_lake_now), "{now}");
        assert_holds(&room, now).await;
    }
    let table = room.deps.lake.open_table(&room.profile.name, LakeTable::DeadLetters, None).await.unwrap();
    assert_eq!((table.version, table.floor), (version + 2, Some(instant("2007-03-01T00:00:00Z"))));
    let past = room.deps.lake.open_table(&room.profile.name, LakeTable::DeadLetters, Some(version)).await.unwrap();
    assert_eq!((past.rows(), past.floor), (Some(2), None), "time travel shows them until a vacuum");
}
