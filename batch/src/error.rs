//! What can go wrong in a batch job.

use kilowatch_shared::{lake::LakeError, views::ViewsError};

use crate::ingest::IngestError;

/// Meanings of job errors. Expected outcomes (a file that is known, nothing new to roll up) are values in the reports.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The input cannot be ingested.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The lake.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The views.
    #[error(transparent)]
    Views(#[from] ViewsError),
    /// Other jobs won each time; running the job again later is safe.
    #[error("{job}: gave up after {attempts} tries because other jobs kept committing first ({reason}); run it again")]
    Contended {
        /// The job.
        job: &'static str,
        /// How often it tried.
        attempts: u32,
        /// What refused the last try.
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
