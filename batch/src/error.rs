//! What can go wrong in a batch job.

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    lake::LakeError,
    model::ModelId,
    position::{Offset, PartitionId},
    retry::RetryHint,
    views::ViewsError,
};

use crate::{ingest::IngestError, training::TrainError};

/// Meanings of job errors. Expected outcomes (a file that is known, nothing new to roll up) are values in the reports.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The input cannot be ingested.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// There is no model to be had from the history.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A forecast of the past by a model that has seen what came after it.
    #[error(
        "model {model} learned from readings up to {trained_until}, so what it says as of {issued_at} would be hindsight; \
         choose a later issue, or a model that was trained before it"
    )]
    Hindsight {
        /// The model.
        model: ModelId,
        /// The end of what it learned from.
        trained_until: DateTime<Utc>,
        /// When the forecast was to be issued.
        issued_at: DateTime<Utc>,
    },
    /// A publication of a version that is older than what the views have seen.
    #[error(
        "the views have seen version {seen} of the lake, and publishing version {version} would move the boundary back; \
         look at it with `kilowatch lake sql --as-of {version}`, or compare with `kilowatch lake diff`"
    )]
    BehindBoundary {
        /// What was to be published.
        version: i64,
        /// The boundary's version.
        seen: i64,
    },
    /// A publication of a version in which rows would count that a file's rows replace.
    #[error(
        "version {version} holds live rows that a file's rows replace and that no roll-up had marked yet: they would count \
         twice; publish a newer version"
    )]
    Unsettled {
        /// What was to be published.
        version: i64,
    },
    /// The lake.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The views.
    #[error(transparent)]
    Views(#[from] ViewsError),
    /// A vacuum that could take files from under a job that still reads them.
    #[error(
        "vacuum: a retention of {days} days is not safe: a job may still read what was current {safe_days} day ago; stop \
         all jobs and add --force, or keep more days"
    )]
    UnsafeRetention {
        /// What was asked for.
        days: u32,
        /// The least that is safe.
        safe_days: u32,
    },
    /// Somebody works on the stream's log, or did meanwhile, and remembers devices.
    #[error(
        "erase: somebody works on {partition}{}: stop the stream's members and `kilowatch up` first, and run it again; one \
         that was killed counts as gone a minute later",
        seen_text(.seen_at.as_ref())
    )]
    StreamAtWork {
        /// The partition.
        partition: PartitionId,
        /// When its owner was seen last, if there is one.
        seen_at: Option<DateTime<Utc>>,
    },
    /// What was applied is not in the lake yet, or what the lake holds is still to be applied: it would come back from the
    /// log.
    #[error(
        "erase: {partition} is applied to {applied} and in the lake to {closed}: start `kilowatch speed run` (or `up`), stop \
         it in order once it has caught up, which brings both to one offset, and run this again; `kilowatch speed status` \
         shows both"
    )]
    NotClosed {
        /// The partition.
        partition: PartitionId,
        /// A.
        applied: Offset,
        /// L.
        closed: Offset,
    },
    /// This build cannot go on from what a partition was judged with.
    #[error("{partition} cannot be replayed: {reason}; run the job with a build that knows these pins")]
    CannotReplay {
        /// The partition.
        partition: PartitionId,
        /// What it cannot run.
        reason: String,
    },
    /// There was more to do, or to do again, each time; running the job again later is safe.
    #[error("{job}: gave up after {attempts} tries ({reason}); run it again")]
    Contended {
        /// The job.
        job: &'static str,
        /// How often it tried.
        attempts: u32,
        /// What stood in the way of the last try.
        reason: String,
    },
    /// A worker of the job ended without an answer, or an engine returned something that its contract excludes: a bug.
    #[error("{job}: internal: {reason}")]
    Internal {
        /// The job.
        job: &'static str,
        /// What is known of it.
        reason: String,
    },
}

impl BatchError {
    /// A worker of a job that panicked or was cancelled.
    pub(crate) fn stopped(job: &'static str, error: &tokio::task::JoinError) -> Self {
        Self::Internal { job, reason: format!("a worker stopped: {error}") }
    }

    /// Whether the same job may go through later, with nothing changed by anybody.
    #[must_use]
    pub const fn retry_hint(&self) -> RetryHint {
        match self {
            Self::Lake(error) => error.retry_hint(),
            Self::Views(error) => error.retry_hint(),
            Self::Ingest(error) => error.retry_hint(),
            Self::Contended { .. } => RetryHint::WithBackoff,
            Self::Train(_)
            | Self::BehindBoundary { .. }
            | Self::Unsettled { .. }
            | Self::UnsafeRetention { .. }
            | Self::StreamAtWork { .. }
            | Self::NotClosed { .. }
            | Self::CannotReplay { .. }
            | Self::Hindsight { .. }
            | Self::Internal { .. } => RetryHint::Never,
        }
    }
}

fn seen_text(seen_at: Option<&DateTime<Utc>>) -> String {
    seen_at.map_or_else(String::new, |seen_at| format!(" (seen {seen_at})"))
}
