//! Running the schedule until it is told to stop.

use std::time::Duration;

use chrono::TimeDelta;
use kilowatch_shared::{retry::RetryHint, stream::StreamProfile};
use tokio_util::sync::CancellationToken;

use super::{Schedule, ScheduleConfig, ScheduledJob};
use crate::{
    BatchDeps, BatchError,
    jobs::{
        forecast::{ForecastRequest, forecast},
        rollup::{RollupRequest, rollup},
        train::{TrainRequest, declared_models, train},
    },
};

/// Longest sleep: a clock that is set, or a machine that was suspended, is noticed after this time.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Shortest sleep, should the clock say again and again that something was due a moment ago.
const SHORTEST_SLEEP: Duration = Duration::from_millis(10);

/// Runs due jobs for each stream, one at a time, until `stop`. A job that fails is logged and recorded, and the others go
/// on; one that found the lake or the views away is tried again soon, for all streams. A run that was missed is made up
/// for once. A job that runs at `stop` is dropped: each leaves what was published
/// before whole.
///
/// # Errors
/// The configuration's problems, before anything runs.
pub async fn run_schedule(
    deps: &BatchDeps,
    profiles: &[StreamProfile],
    config: &ScheduleConfig,
    stop: CancellationToken,
) -> Result<(), Vec<String>> {
    let mut schedule = Schedule::try_new(config, deps.clock.now())?;
    let run = async {
        loop {
            let now = deps.clock.now();
            for job in schedule.take_due(now) {
                let mut hint = RetryHint::Never;
                for profile in profiles {
                    hint = hint.max(run_job(deps, profile, job, config).await);
                }
                schedule.ended(job, hint, deps.clock.now());
            }
            let wait = schedule.next_run().map_or(TimeDelta::MAX, |next| next - deps.clock.now());
            let wait = wait.to_std().unwrap_or(Duration::ZERO).clamp(SHORTEST_SLEEP, LONGEST_SLEEP);
            tokio::time::sleep(wait).await;
        }
    };
    stop.run_until_cancelled(run).await;
    Ok(())
}

/// Runs a job for one stream, and tells whether it may go through later.
async fn run_job(deps: &BatchDeps, profile: &StreamProfile, job: ScheduledJob, config: &ScheduleConfig) -> RetryHint {
    match job {
        ScheduledJob::Rollup => told(profile, job, rollup(deps, profile, &RollupRequest::default()).await),
        ScheduledJob::Forecast if profile.forecast.is_some() => {
            told(profile, job, forecast(deps, profile, &ForecastRequest::default()).await)
        }
        ScheduledJob::Forecast => RetryHint::Never,
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
