//! Runs of batch jobs, for the history on the pages.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::position::StreamName;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// It did what it is for.
    Succeeded,
    /// There was nothing to do.
    Skipped,
    /// It stopped with an error.
    Failed,
}

impl JobStatus {
    /// The name in the API and in the views.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Succeeded, Self::Skipped, Self::Failed].into_iter().find(|s| s.as_str() == name)
    }
}

/// One run of one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRun {
    /// The job: `ingest`, `rollup`, `train`, `forecast`, ...
    pub job: String,
    /// The stream that it worked on.
    pub stream: StreamName,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// How it ended.
    pub status: JobStatus,
    /// Rows that it wrote or changed.
    pub rows: u64,
    /// What it did, or why it failed, in one sentence without secrets.
    pub message: String,
}
