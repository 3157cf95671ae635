//! `scheduled_ingest`: what the schedule declares as inputs of a stream comes to the lake, as `ingest` would bring it.
//!
//! It comes again and again over the same folders. A file that the lake knows is a no-op, one that did not change since it was
//! hashed is not even read ([`SeenFiles`]), and one that cannot be ingested keeps no other out.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use kilowatch_shared::{job::JobStatus, retry::RetryHint, stream::StreamProfile, wording::counted};

use super::{
    history::{Summary, recorded},
    ingest::bring,
};
use crate::{
    BatchDeps, BatchError,
    ingest::{FileOutcome, IngestConfig, IngestError, Inputs, NoProgress, OwnPlaces, SeenFiles, Spool},
    schedule::ScheduledInput,
};

/// Its name in the history, where `ingest` is what people run by hand.
pub const JOB: &str = "scheduled_ingest";

/// Failures of one run that the log tells one by one: thousands of files may fail for one reason.
const TOLD: u64 = 20;

/// Where inputs are looked for, and what bringing them may use.
#[derive(Clone, Default)]
pub struct InputDoor {
    /// The folder of kilowatch itself, which has the spool and is no history.
    pub data_dir: PathBuf,
    /// What an ingest may use.
    pub config: IngestConfig,
    /// Credentials, endpoint and region of stores, as `AWS_...`.
    pub environment: BTreeMap<String, String>,
}

/// Without the environment, which holds secrets.
impl fmt::Debug for InputDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { data_dir, config, environment: _ } = self;
        f.debug_struct("InputDoor").field("data_dir", data_dir).field("config", config).finish_non_exhaustive()
    }
}

/// What became of the inputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduledIngestReport {
    /// Files that are new in the lake.
    pub files: u64,
    /// Files that the lake knew.
    pub known: u64,
    /// Those of them that were not read, because they did not change since they were.
    pub unread: u64,
    /// Inputs that could not be ingested.
    pub failed: u64,
    /// Rows that are new in the lake.
    pub rows: u64,
    /// Rows that count in the place of others.
    pub replaced_rows: u64,
    /// Rows that contradict others and were left out.
    pub conflicting_rows: u64,
    /// Lines that became no reading.
    pub bad_lines: u64,
    /// Why the first input failed.
    pub failure: Option<String>,
    /// Whether what failed may go in soon.
    retry: Option<RetryHint>,
}

impl ScheduledIngestReport {
    /// Whether the job is worth another try before its next time.
    #[must_use]
    pub fn retry_hint(&self) -> RetryHint {
        self.retry.unwrap_or(RetryHint::Never)
    }

    fn fail(&mut self, error: &BatchError) {
        self.failed += 1;
        if self.failed <= TOLD {
            tracing::warn!(%error, "an input of the schedule was not ingested");
        }
        self.failure.get_or_insert_with(|| error.to_string());
        self.retry = self.retry.max(Some(error.retry_hint()));
    }
}

impl Summary for ScheduledIngestReport {
    fn status(&self) -> JobStatus {
        match (self.failed, self.files) {
            (0, 0) => JobStatus::Skipped,
            (0, _) => JobStatus::Succeeded,
            _ => JobStatus::Failed,
        }
    }

    fn changed_rows(&self) -> u64 {
        self.rows + self.replaced_rows
    }

    fn sentence(&self) -> String {
        let mut text = format!("{} ingested", counted(self.files, "new file"));
        if self.files > 0 {
            text.push_str(&format!(" with {}", counted(self.rows, "row")));
        }
        for (count, what) in [
            (self.replaced_rows, "rows in the place of conflicting ones"),
            (self.conflicting_rows, "conflicting rows skipped"),
            (self.bad_lines, "bad lines to the dead letters"),
            (self.known, "known"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        if let Some(failure) = &self.failure {
            text.push_str(&format!("; {} failed, the first because of {failure}", self.failed));
        }
        text
    }
}

/// Brings what is new of the inputs. Failures of single inputs are in the report, which says then that the run failed.
///
/// # Errors
/// [`BatchError::Lake`] if it cannot be asked which files it knows. What was ingested by then stays.
pub async fn scheduled_ingest(
    deps: &BatchDeps,
    profile: &StreamProfile,
    inputs: &[&ScheduledInput],
    door: &InputDoor,
    seen: &mut SeenFiles,
) -> Result<ScheduledIngestReport, BatchError> {
    recorded(deps, profile, JOB, Box::pin(run(deps, profile, inputs, door, seen))).await
}

async fn run(
    deps: &BatchDeps,
    profile: &StreamProfile,
    inputs: &[&ScheduledInput],
    door: &InputDoor,
    seen: &mut SeenFiles,
) -> Result<ScheduledIngestReport, BatchError> {
    let remembered = seen.sha256s();
    let known = deps.lake.known_files(&profile.name, remembered.iter().map(String::as_str)).await?;
    seen.begin(&known);
    let spool = Spool::open(door.data_dir.join("spool"), door.config);
    let own = OwnPlaces::of(&door.data_dir, deps.lake.store());
    let mut report = ScheduledIngestReport::default();
    for input in inputs {
        for name in &input.files {
            let named = [name.into()];
            match Inputs::resolve(&named, &door.environment, &own, spool.clone()).await {
                Ok(found) => take_all(deps, profile, (*input, found), seen, &mut report).await,
                // An inbox is empty most of the time.
                Err(BatchError::Ingest(IngestError::NothingThere { .. })) => {}
                Err(error) => report.fail(&error),
            }
        }
    }
    Ok(report)
}

/// What one name leads to, one file after another.
async fn take_all(
    deps: &BatchDeps,
    profile: &StreamProfile,
    (declared, mut found): (&ScheduledInput, Inputs),
    seen: &mut SeenFiles,
    report: &mut ScheduledIngestReport,
) {
    match found.leave_out_seen(seen).await {
        Ok(unread) => (report.known, report.unread) = (report.known + unread, report.unread + unread),
        Err(error) => return report.fail(&error),
    }
    loop {
        let input = match found.next().await {
            Ok(None) => return,
            Ok(Some(input)) => input,
            Err(error) => {
                report.fail(&error);
                continue;
            }
        };
        let brought = match declared.request(&input) {
            Ok(request) => bring(deps, profile, &request, Arc::new(NoProgress)).await,
            Err(error) => Err(error.into()),
        };
        match brought {
            Ok(file) => {
                seen.note(&input, &file.sha256);
                match file.outcome {
                    FileOutcome::AlreadyIngested => report.known += 1,
                    FileOutcome::Ingested => report.files += 1,
                }
                report.rows += file.rows;
                report.replaced_rows += file.replaced_rows;
                report.conflicting_rows += file.conflicting_rows;
                report.bad_lines += file.bad_lines;
            }
            Err(error) => report.fail(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_which_one_input_failed_says_so_and_what_it_brought_all_the_same() {
        let mut report = ScheduledIngestReport { known: 3, ..ScheduledIngestReport::default() };
        assert_eq!(
            (report.status(), report.sentence().as_str()),
            (JobStatus::Skipped, "0 new files ingested, 3 known")
        );
        (report.files, report.rows) = (1, 60);
        assert_eq!(report.sentence(), "1 new file ingested with 60 rows, 3 known");
        report.fail(&IngestError::Empty { path: "a.csv".into() }.into());
        assert_eq!(
            (report.status(), report.changed_rows(), report.retry_hint()),
            (JobStatus::Failed, 60, RetryHint::Never)
        );
        assert!(report.sentence().ends_with("; 1 failed, the first because of a.csv: the file is empty"));
        report.fail(&IngestError::Changed { path: "b.csv".into() }.into());
        assert_eq!((report.failed, report.retry_hint()), (2, RetryHint::WithBackoff));
    }
}
