//! `verify`: proves that what is served is what the lake says, and changes nothing.
//!
//! Four comparisons, one a file: every position of the lake stands once and below L (`positions`), the segments tile their
//! partitions (`segments`), the live alarms are those that a replay of the lake raises under the recorded pins (`anomalies`), and the published roll-ups are
//! those that a computation over the whole table gives at the boundary's version (`rollups`).

mod anomalies;
mod positions;
mod rollups;
mod segments;

use std::time::Instant;

use kilowatch_shared::{
    job::JobStatus,
    lake::{LakeTable, delta::TableFiles},
    stream::StreamProfile,
    verification::Verification,
    wording::counted,
};
use serde::{Deserialize, Serialize};

pub(super) use positions::extents_of;

use super::history::{Summary, recorded};
use crate::{BatchDeps, BatchError};

/// Differences that are described; all are counted.
const EXAMPLES: usize = 20;

/// What was compared, and what differs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// The lake's version that positions and alarms were compared at.
    pub lake_version: Option<i64>,
    /// Rows whose position was looked at.
    pub positions: Compared,
    /// Segments that the commits of both tables tell of, and the L that they end at.
    pub segments: Compared,
    /// Alarms of the replay and of the views.
    pub anomalies: Compared,
    /// Readings that were replayed.
    pub replayed_readings: u64,
    /// Partials of the computation and of the views.
    pub partials: Compared,
    /// Whether the published windows are those of a profile with other measures, windows or tags: they were compared as such,
    /// and the next roll-up publishes the ones of this profile.
    pub awaits_rollup: bool,
    /// Published partials of windows that begin before the floor of their age, alarms before theirs, and alarms of readings
    /// below the offset where a replay begins: they are not compared, for what they were made of is gone, or they are
    /// about to go.
    pub too_old: u64,
    /// Partitions that this build cannot replay, with the reason. They are not counted as differing, but nothing is proved
    /// of them.
    pub not_replayed: Vec<String>,
    /// The first differences, in words.
    pub examples: Vec<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// How many were compared, and how many of them differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// All.
    pub checked: u64,
    /// Those that are missing on one side, or not the same on both.
    pub differing: u64,
}

impl VerifyReport {
    /// How many differences there are; zero is the promise.
    #[must_use]
    pub const fn differing(&self) -> u64 {
        self.positions.differing + self.segments.differing + self.anomalies.differing + self.partials.differing
    }

    /// Whether everything was compared and nothing differs.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.differing() == 0 && self.not_replayed.is_empty()
    }

    fn describe(&mut self, difference: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(difference());
        }
    }
}

impl Summary for VerifyReport {
    fn status(&self) -> JobStatus {
        match self.lake_version {
            None => JobStatus::Skipped,
            Some(_) if self.holds() => JobStatus::Succeeded,
            Some(_) => JobStatus::Failed,
        }
    }

    fn changed_rows(&self) -> u64 {
        0
    }

    fn sentence(&self) -> String {
        let compared = format!(
            "{} differences among {} positions, {} segments, {} alarms and {} partials",
            self.differing(),
            self.positions.checked,
            self.segments.checked,
            self.anomalies.checked,
            self.partials.checked
        );
        let awaits = if self.awaits_rollup { "; windows of another profile await the next roll-up" } else { "" };
        let too_old = match self.too_old {
            0 => String::new(),
            rows => format!("; {} too old to be compared", counted(rows, "row")),
        };
        match self.not_replayed.len() {
            0 => format!("{compared}{too_old}{awaits}"),
            partitions => {
                format!("{compared}{too_old}{awaits}; {} not replayed", counted(partitions as u64, "partition"))
            }
        }
    }
}

/// How to go about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyRequest {
    /// Rows of the lake whose windows are computed at once, or those of one device: each may be a window of its own with a
    /// partial for every measure, some 200 bytes each.
    pub rows_at_once: u64,
}

impl Default for VerifyRequest {
    fn default() -> Self {
        Self { rows_at_once: 200_000 }
    }
}

/// Compares views and lake. Differences are in the report and no error.
///
/// # Errors
/// [`BatchError::Lake`] or [`BatchError::Views`]; [`BatchError::Contended`] if publications kept coming.
pub async fn verify(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: &VerifyRequest,
) -> Result<VerifyReport, BatchError> {
    let report = recorded(deps, profile, "verify", run(deps, profile, request)).await?;
    if let Some(lake_version) = report.lake_version {
        let verification = Verification {
            stream: profile.name.clone(),
            verified_at: deps.clock.now(),
            lake_version,
            differing: report.differing(),
            unproved: report.not_replayed.len() as u64,
            message: report.sentence(),
        };
        // The answer stands whether or not it is kept.
        if let Err(error) = deps.views.keep_verification(&verification).await {
            tracing::warn!(stream = profile.name.as_str(), %error, "what the verification found is not kept");
        }
    }
    Ok(report)
}

async fn run(deps: &BatchDeps, profile: &StreamProfile, request: &VerifyRequest) -> Result<VerifyReport, BatchError> {
    let began = Instant::now();
    let mut report = VerifyReport::default();
    if let Some(table) = opened(deps, profile, LakeTable::Readings).await? {
        report.lake_version = Some(table.version);
        let dead_letters = opened(deps, profile, LakeTable::DeadLetters).await?;
        positions::compare(deps, &table, dead_letters.as_ref(), &mut report).await?;
        segments::compare(deps, profile, LakeTable::Readings, &table, &mut report).await?;
        if let Some(letters) = &dead_letters {
            segments::compare(deps, profile, LakeTable::DeadLetters, letters, &mut report).await?;
        }
        anomalies::compare(deps, profile, &table, &mut report).await?;
    }
    rollups::compare(deps, profile, request.rows_at_once, &mut report).await?;
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

async fn opened(deps: &BatchDeps, profile: &StreamProfile, table: LakeTable) -> Result<Option<TableFiles>, BatchError> {
    Ok(deps.lake.newest_table(&profile.name, table).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_replayed_is_no_success() {
        let report = VerifyReport { lake_version: Some(7), ..VerifyReport::default() };
        assert_eq!(report.status(), JobStatus::Succeeded);
        let report = VerifyReport { not_replayed: vec!["grid/0: kernels of version 2".to_owned()], ..report };
        assert_eq!((report.differing(), report.holds(), report.status()), (0, false, JobStatus::Failed));
        assert!(report.sentence().ends_with("; 1 partition not replayed"), "{}", report.sentence());
    }
}
