//! Running the schedule until it is told to stop.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{retry::RetryHint, stream::StreamProfile, views::ViewsError};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Schedule, ScheduleConfig, ScheduledInput, ScheduledJob,
    keeper::{Held, LeaseKeeper},
};
use crate::{
    BatchDeps, BatchError, RetentionConfig,
    ingest::{NoProgress, SeenFiles},
    jobs::{
        compact::{CompactRequest, compact},
        expire::{ExpireRequest, expire},
        forecast::{ForecastRequest, forecast},
        rollup::{RollupRequest, rollup},
        scheduled_ingest::{self, InputDoor, scheduled_ingest},
        train::{TrainRequest, declared_models, job_of, train},
        vacuum::{VacuumRequest, vacuum},
    },
};

/// Longest sleep: a clock that is set, or a machine that was suspended, is noticed after this time.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// How long the views may take to tell when jobs ran last.
const ANSWER: Duration = Duration::from_secs(30);

/// Shortest sleep, should the clock say again and again that something was due a moment ago.
const SHORTEST_SLEEP: Duration = Duration::from_millis(10);

/// What single jobs need to know beside when they run.
#[derive(Debug, Clone, Default)]
pub struct JobSettings {
    /// How long what is past stays.
    pub retention: RetentionConfig,
    /// Where inputs come in.
    pub door: InputDoor,
}

/// Runs due jobs, one at a time, until `stop`, for each stream whose schedule no other process runs. A job that fails is
/// logged and recorded, and the others go on; one that found the lake or the views away is tried again soon. A job that
/// runs at `stop`, or when another process took its schedule over, is dropped: each leaves what was published before whole.
///
/// # Errors
/// The configuration's problems, before anything runs.
pub async fn run_schedule(
    deps: &BatchDeps,
    profiles: &[StreamProfile],
    config: &ScheduleConfig,
    settings: JobSettings,
    stop: CancellationToken,
) -> Result<(), Vec<String>> {
    metrics::describe_counter!("kilowatch_schedule_overruns_total", "jobs that were still at work at their next time");
    let schedule = Schedule::try_new(config, deps.clock.now())?;
    let keeper = LeaseKeeper::new(deps, profiles.iter().map(|profile| &profile.name));
    let mut held = keeper.held();
    let mut streams: Vec<StreamSchedule<'_>> = profiles
        .iter()
        .map(|profile| StreamSchedule {
            profile,
            schedule: schedule.clone(),
            held: keeper.held(),
            knows_history: false,
            seen: SeenFiles::default(),
        })
        .collect();
    let run = async {
        loop {
            for stream in &mut streams {
                // On the heap: it may await any job, and is part of whatever awaits the schedule.
                Box::pin(stream.turn(deps, (config, &settings))).await;
            }
            let next = streams.iter().filter_map(StreamSchedule::next_run).min();
            let wait = next.map_or(TimeDelta::MAX, |next| next - deps.clock.now());
            let wait = wait.to_std().unwrap_or(Duration::ZERO).clamp(SHORTEST_SLEEP, LONGEST_SLEEP);
            tokio::select! {
                () = sleep(wait) => {}
                () = held.changed() => {}
            }
        }
    };
    stop.run_until_cancelled(async { tokio::join!(keeper.run(), run) }).await;
    keeper.release().await;
    Ok(())
}

/// The schedule of one stream.
struct StreamSchedule<'a> {
    profile: &'a StreamProfile,
    schedule: Schedule,
    held: Held,
    /// Whether it was asked when the jobs ran last: while the schedule was another process's, that ran them.
    knows_history: bool,
    /// Which inputs did not change since this process hashed them.
    seen: SeenFiles,
}

impl StreamSchedule<'_> {
    fn is_ours(&self) -> bool {
        self.held.has(&self.profile.name)
    }

    fn next_run(&self) -> Option<DateTime<Utc>> {
        self.schedule.next_run().filter(|_| self.is_ours())
    }

    async fn turn(&mut self, deps: &BatchDeps, config: (&ScheduleConfig, &JobSettings)) {
        if !self.is_ours() {
            self.knows_history = false;
            return;
        }
        if !self.knows_history {
            match timeout(ANSWER, self.learn_history(deps)).await {
                Ok(Ok(())) => self.knows_history = true,
                Ok(Err(error)) => {
                    tracing::warn!(stream = %self.profile.name, %error, "the history of jobs cannot be read, no job runs until it can");
                    return;
                }
                Err(_elapsed) => {
                    tracing::warn!(stream = %self.profile.name, secs = ANSWER.as_secs(), "the views do not answer, no job runs until they do");
                    return;
                }
            }
        }
        for job in self.schedule.take_due(deps.clock.now()) {
            let began = deps.clock.now();
            let hint = tokio::select! {
                biased;
                () = self.held.clone().lost(&self.profile.name) => {
                    tracing::warn!(stream = %self.profile.name, job.name = job.as_str(), "a job was dropped with its schedule");
                    return;
                }
                hint = run_job(deps, self.profile, job, config, &mut self.seen) => hint,
            };
            let ended = deps.clock.now();
            self.schedule.ended(job, hint, ended);
            if let Some(next) = self.schedule.overrun(job, began, ended) {
                let labels = [("stream", self.profile.name.to_string()), ("job", job.as_str().to_owned())];
                metrics::counter!("kilowatch_schedule_overruns_total", &labels).increment(1);
                tracing::warn!(
                    stream = %self.profile.name, job.name = job.as_str(), took_secs = (ended - began).num_seconds(), %next,
                    "a job takes longer than its interval; run it less often"
                );
            }
        }
    }

    async fn learn_history(&mut self, deps: &BatchDeps) -> Result<(), ViewsError> {
        for job in ScheduledJob::ALL {
            let mut first: Option<DateTime<Utc>> = None;
            // Of several trainings the one that is behind says when all were done.
            for name in names_of(job, self.profile) {
                let began = deps.views.last_job_start(&self.profile.name, &name).await?;
                first = first.into_iter().chain(began).min();
            }
            if let Some(began) = first {
                self.schedule.ran(job, began);
            }
        }
        Ok(())
    }
}

/// The names under which the history has the runs of a job.
fn names_of(job: ScheduledJob, profile: &StreamProfile) -> Vec<String> {
    match job {
        ScheduledJob::Ingest => vec![scheduled_ingest::JOB.to_owned()],
        ScheduledJob::Train => declared_models(profile).into_iter().map(job_of).collect(),
        _ => vec![job.as_str().to_owned()],
    }
}

/// Runs a job for one stream, and tells whether it may go through later.
async fn run_job(
    deps: &BatchDeps,
    profile: &StreamProfile,
    job: ScheduledJob,
    (config, settings): (&ScheduleConfig, &JobSettings),
    seen: &mut SeenFiles,
) -> RetryHint {
    match job {
        ScheduledJob::Ingest => {
            let of_stream = |input: &&ScheduledInput| input.stream == profile.name;
            let inputs: Vec<&ScheduledInput> = config.inputs.iter().filter(of_stream).collect();
            if inputs.is_empty() {
                return RetryHint::Never;
            }
            match scheduled_ingest(deps, profile, &inputs, &settings.door, seen).await {
                Ok(report) => report.retry_hint(),
                Err(error) => told(profile, job, Err::<(), _>(error)),
            }
        }
        ScheduledJob::Rollup => told(profile, job, rollup(deps, profile, &RollupRequest::default()).await),
        ScheduledJob::Forecast if profile.forecast.is_some() => {
            told(profile, job, forecast(deps, profile, &ForecastRequest::default()).await)
        }
        ScheduledJob::Forecast => RetryHint::Never,
        ScheduledJob::Compact => {
            told(profile, job, compact(deps, profile, &CompactRequest::default(), Arc::new(NoProgress)).await)
        }
        ScheduledJob::Expire => {
            let request = ExpireRequest { retention: settings.retention.clone(), ..ExpireRequest::default() };
            told(profile, job, expire(deps, profile, &request, Arc::new(NoProgress)).await)
        }
        ScheduledJob::Vacuum => {
            let request = VacuumRequest { retention: settings.retention.clone(), ..VacuumRequest::default() };
            told(profile, job, vacuum(deps, profile, &request, Arc::new(NoProgress)).await)
        }
        ScheduledJob::Train => {
            let mut hint = RetryHint::Never;
            for kind in declared_models(profile) {
                let request = TrainRequest { seed: config.train_seed, ..TrainRequest::of(kind) };
                hint = hint.max(told(profile, job, train(deps, profile, &request).await));
            }
            hint
        }
    }
}

/// The history of the stream holds every run; a failure is also told to whoever watches the log.
fn told<T>(profile: &StreamProfile, job: ScheduledJob, outcome: Result<T, BatchError>) -> RetryHint {
    outcome.err().map_or(RetryHint::Never, |error| {
        tracing::warn!(stream = profile.name.as_str(), job.name = job.as_str(), %error, "a scheduled job failed");
        error.retry_hint()
    })
}
