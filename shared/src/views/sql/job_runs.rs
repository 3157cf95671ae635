//! The history of batch jobs.

use super::{Row, Session, Statement};
use crate::{
    job::{JobRun, JobStatus},
    position::StreamName,
    views::{KEPT_JOB_RUNS, ViewsError},
};

/// Adds a run, and drops the oldest ones of its job beyond [`KEPT_JOB_RUNS`].
pub async fn add(session: &mut dyn Session, run: &JobRun) -> Result<(), ViewsError> {
    let statement = Statement::new(
        "INSERT INTO job_runs (stream, job, started_at, finished_at, status, rows_changed, message)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(run.stream.as_str())
    .bind(run.job.as_str())
    .bind(run.started_at)
    .bind(run.finished_at)
    .bind(run.status.as_str())
    .bind(run.rows)
    .bind(run.message.as_str());
    session.execute(statement).await?;
    let old = Statement::new(
        "DELETE FROM job_runs WHERE stream = $1 AND job = $2 AND id <=
             (SELECT id FROM job_runs WHERE stream = $1 AND job = $2 ORDER BY id DESC LIMIT 1 OFFSET $3)",
    )
    .bind(run.stream.as_str())
    .bind(run.job.as_str())
    .bind(KEPT_JOB_RUNS);
    session.execute(old).await?;
    Ok(())
}

/// The statement of the newest runs.
pub fn newest(stream: &StreamName, limit: u32) -> Statement {
    Statement::new(
        "SELECT stream, job, started_at, finished_at, status, rows_changed, message FROM job_runs
         WHERE stream = $1 ORDER BY finished_at DESC, id DESC LIMIT $2",
    )
    .bind(stream.as_str())
    .bind(limit)
}

/// The statement of the newest run of a job that did not fail.
pub fn last_done(stream: &StreamName, job: &str) -> Statement {
    Statement::new(
        "SELECT started_at FROM job_runs WHERE stream = $1 AND job = $2 AND status <> $3 ORDER BY id DESC LIMIT 1",
    )
    .bind(stream.as_str())
    .bind(job)
    .bind(JobStatus::Failed.as_str())
}

/// The run of a row.
pub fn job_run_of(row: &Row) -> Result<JobRun, ViewsError> {
    Ok(JobRun {
        job: row.text("job")?,
        stream: row.stream()?,
        started_at: row.time("started_at")?,
        finished_at: row.time("finished_at")?,
        status: row.parsed("status", JobStatus::parse)?,
        rows: row.count("rows_changed")?,
        message: row.text("message")?,
    })
}
