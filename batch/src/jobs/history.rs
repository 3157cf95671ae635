//! Each run of a job leaves a line in the history on the pages.

use std::{future::Future, time::Duration};

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    job::{JobRun, JobStatus},
    stream::StreamProfile,
};

use tokio::time::timeout;

use crate::{BatchDeps, BatchError};

/// How long the views may take to note a run: its work is done, and whoever waits for the job wants its answer.
const NOTE: Duration = Duration::from_secs(10);

/// What a run says of itself when it ends.
pub trait Summary {
    /// How it ended.
    fn status(&self) -> JobStatus;
    /// Rows that it wrote or changed.
    fn changed_rows(&self) -> u64;
    /// What it did, in one sentence.
    fn sentence(&self) -> String;
}

/// Runs a job and records how it ended. A history that cannot be written does not undo the work: it is logged, and the
/// job's own answer stands.
pub(crate) async fn recorded<T: Summary>(
    deps: &BatchDeps,
    profile: &StreamProfile,
    job: &str,
    run: impl Future<Output = Result<T, BatchError>>,
) -> Result<T, BatchError> {
    let started_at: DateTime<Utc> = deps.clock.now();
    let outcome = run.await;
    let (status, rows, message) = match &outcome {
        Ok(report) => (report.status(), report.changed_rows(), report.sentence()),
        Err(error) => (JobStatus::Failed, 0, error.to_string()),
    };
    let run = JobRun {
        job: job.to_owned(),
        stream: profile.name.clone(),
        started_at,
        finished_at: deps.clock.now(),
        status,
        rows,
        message,
    };
    match timeout(NOTE, deps.views.add_job_run(&run)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(job.name = job, job.status = status.as_str(), %error, "the run is not in the history");
        }
        Err(_elapsed) => {
            tracing::warn!(
                job.name = job,
                secs = NOTE.as_secs(),
                "the views do not answer, the run may not be in the history"
            );
        }
    }
    outcome
}
