//! Why a roll-up computed what it computed, and what came of it.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Float64Type, Int64Type, TimestampMicrosecondType},
};
use chrono::{DateTime, Utc};
use kilowatch_shared::{
    lake::{
        AsOf, LakeError, LakeTable,
        delta::{TableFiles, TableVersion},
    },
    stream::StreamProfile,
};
use serde::Serialize;

use super::rollup::{RollupOutcome, RollupReport};
use crate::{
    BatchDeps, BatchError,
    diff::{ChangedRows, Versions, changed_hours, changed_rows},
    rollups::windows_of,
};

/// Commits that are explained one by one, the newest ones: an hour of speed's, and more than a day has of anybody else's.
const COMMITS: u32 = 60;

/// Revised hours that are named.
const EXAMPLES: usize = 10;

/// What the views had seen, what was new to them, and what it changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The version that the views had seen; `None` before the first publication.
    pub since: Option<i64>,
    /// The version that was published.
    pub until: Option<i64>,
    /// The commits in between, newest first, at most sixty.
    pub commits: Vec<ExplainedCommit>,
    /// What became of the rows; `None` if the older version cannot be read (any more).
    pub changes: Option<Changes>,
}

/// A commit and the windows that it made necessary.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedCommit {
    /// The commit.
    pub version: TableVersion,
    /// Windows of all stored lengths in which it added rows, marked some or removed some; `None` if there are too many to
    /// tell apart, or a vacuum took what would tell.
    pub windows: Option<u64>,
}

/// Rows and hours that differ between the two versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Changes {
    /// The rows.
    pub rows: ChangedRows,
    /// Hourly aggregates that had no value before, by device and measure.
    pub new_hours: u64,
    /// Hourly aggregates that had one, and have another.
    pub revised_hours: u64,
    /// Some of the revised ones.
    pub examples: Vec<RevisedHour>,
}

/// An hourly aggregate that changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RevisedHour {
    /// The device.
    pub device_id: String,
    /// The start of the hour.
    pub hour: DateTime<Utc>,
    /// The measure.
    pub measure: String,
    /// Values before, and their sum.
    pub before: (i64, f64),
    /// Values after, and their sum.
    pub after: (i64, f64),
}

/// Explains a roll-up by what the lake's log says of the versions before and after it.
///
/// # Errors
/// [`BatchError::Lake`].
pub async fn explain(
    deps: &BatchDeps,
    profile: &StreamProfile,
    report: &RollupReport,
) -> Result<Explanation, BatchError> {
    let (since, until) = (report.since, report.boundary.lake_version);
    let mut explanation = Explanation { since, until, commits: Vec::new(), changes: None };
    let Some(until) = until.filter(|_| report.outcome == RollupOutcome::Published) else { return Ok(explanation) };
    let table = deps.lake.open_table(&profile.name, LakeTable::Readings, Some(until)).await?;
    explanation.commits = commits(deps, profile, since, &table).await?;
    let Some(since) = since.filter(|since| *since <= until) else { return Ok(explanation) };
    match deps.lake.open_table_as_of(&profile.name, LakeTable::Readings, Some(AsOf::Version(since))).await {
        Ok(before) => explanation.changes = Some(changes(deps, &Versions::new(before, table)).await?),
        Err(LakeError::OutOfReach { .. } | LakeError::Vacuumed { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(explanation)
}

async fn commits(
    deps: &BatchDeps,
    profile: &StreamProfile,
    since: Option<i64>,
    table: &TableFiles,
) -> Result<Vec<ExplainedCommit>, BatchError> {
    let unseen = table.version - since.unwrap_or(-1);
    let limit = u32::try_from(unseen.max(0)).unwrap_or(u32::MAX).min(COMMITS);
    let (stream, readings) = (&profile.name, LakeTable::Readings);
    let mut commits = Vec::new();
    for version in deps.lake.versions(stream, readings, Some(table.version + 1), limit).await? {
        let number = version.version;
        let added = deps.lake.files_added_between(stream, readings, number - 1, number).await?;
        let windows = match added {
            Some(changes) => windows_of(&changes, &deps.lake, table, profile).await?,
            None => None,
        };
        commits.push(ExplainedCommit { version, windows });
    }
    Ok(commits)
}

async fn changes(deps: &BatchDeps, versions: &Versions) -> Result<Changes, BatchError> {
    let mut changes = Changes::default();
    let (rows, buckets) = changed_rows::<BatchError>(&deps.lake, versions, async |_| Ok(())).await?;
    changes.rows = rows;
    changed_hours::<BatchError>(&deps.lake, versions, &buckets, async |batch| {
        changes.add(&batch);
        Ok(())
    })
    .await?;
    Ok(changes)
}

impl Changes {
    /// Takes rows of [`crate::diff::hours_schema`].
    fn add(&mut self, hours: &RecordBatch) {
        let texts = |column: usize| hours.column(column).as_string::<i32>();
        let counts = |column: usize| hours.column(column).as_primitive::<Int64Type>();
        // An hour without a value has a null for its sum.
        let sum = |column: usize, row: usize| {
            let sums = hours.column(column).as_primitive::<Float64Type>();
            if sums.is_valid(row) { sums.value(row) } else { 0.0 }
        };
        let starts = hours.column(1).as_primitive::<TimestampMicrosecondType>();
        for row in 0..hours.num_rows() {
            if counts(3).value(row) == 0 {
                self.new_hours += 1;
                continue;
            }
            self.revised_hours += 1;
            if self.examples.len() < EXAMPLES {
                self.examples.push(RevisedHour {
                    device_id: texts(0).value(row).to_owned(),
                    hour: DateTime::from_timestamp_micros(starts.value(row)).unwrap_or_default(),
                    measure: texts(2).value(row).to_owned(),
                    before: (counts(3).value(row), sum(5, row)),
                    after: (counts(4).value(row), sum(6, row)),
                });
            }
        }
    }
}
