//! The schedule runs jobs by the clock that it is given.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_batch::{BatchDeps, ScheduleConfig, schedule::run_schedule};
use kilowatch_shared::{clock::Clock, job::JobStatus};
use tokio_util::sync::CancellationToken;

use crate::bench_room::{Room, instant};

/// A clock on which twenty minutes pass whenever somebody looks.
#[derive(Debug, Default)]
struct HastyClock {
    looks: AtomicI64,
}

impl Clock for HastyClock {
    fn now(&self) -> DateTime<Utc> {
        instant("2007-01-01T00:00:00Z") + TimeDelta::minutes(20 * self.looks.fetch_add(1, Ordering::Relaxed))
    }
}

#[tokio::test]
async fn a_job_that_fails_is_recorded_and_the_others_go_on() {
    let room = Room::new().await;
    let deps = BatchDeps { clock: Arc::new(HastyClock::default()), ..room.deps.clone() };
    let stop = CancellationToken::new();
    let profiles = [room.profile.clone()];
    let config = ScheduleConfig::default();
    let watch = async {
        // There is nothing to learn from, so each training fails; it is tried again the next night.
        loop {
            let runs = room.deps.views.recent_job_runs(&room.profile.name, 10_000).await.unwrap();
            let failed = runs.iter().filter(|run| run.job == "train" && run.status == JobStatus::Failed).count();
            let forecasts = runs.iter().filter(|run| run.job == "forecast" && run.status == JobStatus::Skipped).count();
            if failed >= 6 && forecasts >= 2 && runs.iter().any(|run| run.job == "rollup") {
                return stop.cancel();
            }
            tokio::task::yield_now().await;
        }
    };
    let (ran, ()) = tokio::join!(run_schedule(&deps, &profiles, &config, stop.clone()), watch);
    assert_eq!(ran, Ok(()));
}

#[tokio::test]
async fn a_bad_expression_is_told_before_anything_runs() {
    let room = Room::new().await;
    let config = ScheduleConfig { forecast: "often".to_owned(), ..ScheduleConfig::default() };
    let ran = run_schedule(&room.deps, std::slice::from_ref(&room.profile), &config, CancellationToken::new()).await;
    assert!(ran.unwrap_err()[0].starts_with("forecast = \"often\""));
    assert!(room.deps.views.recent_job_runs(&room.profile.name, 10).await.unwrap().is_empty());
}
