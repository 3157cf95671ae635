//! The schedule runs jobs by the clock that it is given.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_batch::{
    BatchDeps, ScheduleConfig,
    jobs::train::{declared_models, job_of},
    schedule::{JobSettings, run_schedule},
};
use kilowatch_shared::{
    clock::Clock,
    job::{JobRun, JobStatus},
    lake::{delta::DeltaLake, store::LakeStore},
    model::ModelKind,
};
use object_store::{
    memory::InMemory,
    throttle::{ThrottleConfig, ThrottledStore},
};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use crate::bench_room::{Room, instant};

/// A clock on which twenty minutes pass whenever somebody looks.
#[derive(Debug, Default)]
pub struct HastyClock {
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
            let failed =
                runs.iter().filter(|run| run.job.starts_with("train_") && run.status == JobStatus::Failed).count();
            let forecasts = runs.iter().filter(|run| run.job == "forecast" && run.status == JobStatus::Skipped).count();
            if failed >= 6 && forecasts >= 2 && runs.iter().any(|run| run.job == "rollup") {
                stop.cancel();
                return runs;
            }
            tokio::task::yield_now().await;
        }
    };
    let (ran, mut runs) =
        tokio::join!(run_schedule(&deps, &profiles, &config, JobSettings::default(), stop.clone()), watch);
    assert_eq!(ran, Ok(()));
    runs.sort_by_key(|run| run.started_at);
    assert!(runs.windows(2).all(|pair| pair[0].finished_at <= pair[1].started_at), "two jobs ran at once: {runs:?}");
}

/// Trains once a year, at its first minute, and does nothing else.
fn yearly_training() -> ScheduleConfig {
    let never = String::new();
    let train = "0 0 1 1 *".to_owned();
    let [rollup, forecast, compact, expire, vacuum] = [(); 5].map(|()| never.clone());
    ScheduleConfig { train, rollup, forecast, compact, expire, vacuum, ..Default::default() }
}

/// A clock that begins before the year does.
fn before_the_year() -> Arc<HastyClock> {
    Arc::new(HastyClock { looks: AtomicI64::new(-1) })
}

#[tokio::test]
async fn a_training_that_finds_the_lake_away_is_tried_again_until_it_is_back() {
    let room = Room::new().await;
    let folder = room.path("lake");
    let store = LakeStore::open(folder.to_str().unwrap(), &BTreeMap::new()).unwrap();
    // A file where the stream's folder belongs: the store answers with errors that may pass.
    let obstacle = folder.join(room.profile.name.as_str());
    std::fs::write(&obstacle, b"in the way").unwrap();
    let clock = before_the_year();
    let lake = Arc::new(DeltaLake::new(store, clock.clone()));
    let deps = BatchDeps { lake, clock: clock.clone(), ..room.deps.clone() };
    let stop = CancellationToken::new();
    let profiles = [room.profile.clone()];
    let config = yearly_training();
    let kinds = declared_models(&room.profile).len();
    let watch = async {
        let mut cleared = false;
        loop {
            let runs = room.deps.views.recent_job_runs(&room.profile.name, 10_000).await.unwrap();
            if !cleared && runs.len() >= 3 * kinds {
                std::fs::remove_file(&obstacle).unwrap();
                cleared = true;
            }
            // There is nothing to learn from, which no further try changes.
            if runs.iter().filter(|run| run.message.starts_with("not enough to learn from")).count() >= kinds {
                stop.cancel();
                return runs;
            }
            tokio::task::yield_now().await;
        }
    };
    let (ran, runs) =
        tokio::join!(run_schedule(&deps, &profiles, &config, JobSettings::default(), stop.clone()), watch);
    assert_eq!(ran, Ok(()));
    assert!(runs.iter().all(|run| run.job.starts_with("train_") && run.status == JobStatus::Failed));
    let away = runs.iter().filter(|run| run.message.starts_with("the lake is not available")).count();
    assert!(away >= 3 * kinds, "{runs:?}");
    assert!(runs.iter().all(|run| run.started_at < instant("2008-01-01T00:00:00Z")), "it waited for its next year");
}

#[tokio::test]
async fn a_job_that_hangs_is_dropped_when_the_schedule_stops() {
    let room = Room::new().await;
    let endless = Duration::from_secs(1_000_000);
    let throttle = ThrottleConfig { wait_get_per_call: endless, wait_list_per_call: endless, ..Default::default() };
    let stuck = Arc::new(ThrottledStore::new(InMemory::new(), throttle));
    let clock = before_the_year();
    let lake = Arc::new(DeltaLake::new(LakeStore::over("memory://", stuck), clock.clone()));
    let deps = BatchDeps { lake, clock: clock.clone(), ..room.deps.clone() };
    let stop = CancellationToken::new();
    let profiles = [room.profile.clone()];
    let config = yearly_training();
    let watch = async {
        // One look for the schedule, one for its lease, two for what is due and begins, one for the start of the job, which
        // reads no clock after it.
        while clock.looks.load(Ordering::Relaxed) < 4 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (ran, ()) = tokio::join!(run_schedule(&deps, &profiles, &config, JobSettings::default(), stop.clone()), watch);
    assert_eq!(ran, Ok(()));
    assert!(room.deps.views.recent_job_runs(&room.profile.name, 10).await.unwrap().is_empty());
}

/// The machine's clock, set so that this was the time when it was made; it can be set on.
#[derive(Debug)]
struct SetClock {
    began: std::time::Instant,
    first: DateTime<Utc>,
    set_on_secs: AtomicI64,
}

impl SetClock {
    fn at(first: &str) -> Arc<Self> {
        Arc::new(Self { began: std::time::Instant::now(), first: instant(first), set_on_secs: AtomicI64::new(0) })
    }
}

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        let set_on = TimeDelta::seconds(self.set_on_secs.load(Ordering::Relaxed));
        self.first + TimeDelta::from_std(self.began.elapsed()).unwrap() + set_on
    }
}

/// Runs of a job, oldest first, as soon as there are so many.
async fn runs_of(room: &Room, job: &str, count: usize) -> Vec<JobRun> {
    loop {
        let mut runs = room.deps.views.recent_job_runs(&room.profile.name, 100).await.unwrap();
        runs.retain(|run| run.job == job);
        if runs.len() >= count {
            runs.reverse();
            return runs;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn of_two_processes_one_runs_the_jobs_and_the_other_goes_on_where_it_dies() {
    LocalSet::new().run_until(two_processes()).await;
}

async fn two_processes() {
    let room = Room::new().await;
    let clock = SetClock::at("2007-06-01T12:00:58Z");
    let start = || {
        let deps = BatchDeps { clock: clock.clone(), ..room.deps.clone() };
        let profiles = [room.profile.clone()];
        tokio::task::spawn_local(async move {
            run_schedule(&deps, &profiles, &ScheduleConfig::default(), JobSettings::default(), CancellationToken::new())
                .await
        })
    };
    let first = start();
    runs_of(&room, "rollup", 1).await;
    let second = start();
    // Well into the minute, in which the second one would run the job as well, were it to run any.
    while clock.now() < instant("2007-06-01T12:01:03Z") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(runs_of(&room, "rollup", 1).await.len(), 1, "both ran the job of one minute");
    // As if it had been killed: its lease stays until it ends.
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    clock.set_on_secs.store(300, Ordering::Relaxed);
    let runs = runs_of(&room, "rollup", 2).await;
    assert!(runs[1].started_at >= instant("2007-06-01T12:06:00Z"), "{runs:?}");
    assert_eq!(runs.len(), 2, "five minutes that passed meanwhile are made up for once");
    second.abort();
}

#[tokio::test]
async fn a_training_that_was_missed_while_no_process_ran_is_made_up_for_at_the_start() {
    let room = Room::new().await;
    let days_ago = instant("2007-05-29T02:30:00Z");
    let past = JobRun {
        job: job_of(ModelKind::Forecast),
        stream: room.profile.name.clone(),
        started_at: days_ago,
        finished_at: days_ago,
        status: JobStatus::Succeeded,
        rows: 0,
        message: "trained".to_owned(),
    };
    room.deps.views.add_job_run(&past).await.unwrap();
    let deps = BatchDeps { clock: SetClock::at("2007-06-01T12:00:00Z"), ..room.deps.clone() };
    let stop = CancellationToken::new();
    let profiles = [room.profile.clone()];
    let config = ScheduleConfig::default();
    let watch = async {
        runs_of(&room, &job_of(ModelKind::Forecast), 2).await;
        for kind in declared_models(&room.profile) {
            runs_of(&room, &job_of(kind), 1).await;
        }
        stop.cancel();
    };
    let (ran, ()) = tokio::join!(run_schedule(&deps, &profiles, &config, JobSettings::default(), stop.clone()), watch);
    assert_eq!(ran, Ok(()));
}

#[tokio::test]
async fn a_bad_expression_is_told_before_anything_runs() {
    let room = Room::new().await;
    let config = ScheduleConfig { forecast: "often".to_owned(), ..ScheduleConfig::default() };
    let ran = run_schedule(
        &room.deps,
        std::slice::from_ref(&room.profile),
        &config,
        JobSettings::default(),
        CancellationToken::new(),
    )
    .await;
    assert!(ran.unwrap_err()[0].starts_with("forecast = \"often\""));
    assert!(room.deps.views.recent_job_runs(&room.profile.name, 10).await.unwrap().is_empty());
}
