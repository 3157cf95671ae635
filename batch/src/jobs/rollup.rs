//! `rollup`: what the lake holds is published as partials of windows, together with the boundary up to which they hold.
//!
//! The boundary is read first, then the lake at a version in which no superseded row counts, with its L values. Windows
//! that the commits between the two can have changed are computed from all rows that they hold, staged, and published in
//! one transaction that refuses if another publication came first.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    checkpoint::Boundary,
    job::JobStatus,
    lake::{AsOf, LakeTable, delta::TableFiles},
    rollup::RollupRow,
    stream::StreamProfile,
    views::{Aged, Publication, PublishOutcome, PublishedShape, ReplacedWindows, StageId},
    wording::counted,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::history::{Summary, recorded};
use crate::{
    BatchDeps, BatchError,
    rollups::{Scope, Settled, Shape, WindowQuery, has_unsettled, scope_since, settle_superseded},
};

/// A publication is refused when another one came first, which a second look resolves.
const MAX_TRIES: u32 = 5;

/// Rows of one staging transaction: large enough that its commit costs little, small enough that speed's transactions
/// wait only for moments.
const STAGE_ROWS: usize = 10_000;

/// What to roll up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RollupRequest {
    /// All windows and all superseded rows, and not only those that can have changed since the last publication. Done unasked
    /// where the last publication was of a profile with other measures, windows or tags.
    pub full: bool,
    /// The lake as of this point and not its newest version. One that the views have seen more than is refused.
    pub as_of: Option<AsOf>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollupOutcome {
    /// Readers see the new state.
    Published,
    /// The views had seen everything that the lake holds.
    UpToDate,
}

/// What a roll-up did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RollupReport {
    /// How it ended.
    pub outcome: RollupOutcome,
    /// Whether all windows were computed.
    pub full: bool,
    /// Windows that were replaced; `None` for all of them.
    pub windows: Option<u64>,
    /// Partials that were published: one a window, measure and group.
    pub partials: u64,
    /// Data files whose rows it read, once for each length of windows.
    pub read_files: u64,
    /// Their rows, those of other windows included; `None` if the writer of a file did not say how many it has.
    pub read_rows: Option<u64>,
    /// Live rows that were marked because a file holds their device and time.
    pub superseded_rows: u64,
    /// The lake's version that the views had seen before; `None` before the first publication.
    pub since: Option<i64>,
    /// The boundary that the views have now.
    pub boundary: Boundary,
    /// Speed's rows that batch has seen and that were cleared.
    pub cleared_speed_rows: u64,
    /// How long the engine computed, in seconds.
    pub query_seconds: f64,
    /// How long staging and publishing took, in seconds.
    pub publish_seconds: f64,
    /// How long all of it took, in seconds.
    pub seconds: f64,
}

/// Publishes what the lake holds.
///
/// # Errors
/// [`BatchError::Lake`], [`BatchError::Views`], or [`BatchError::Contended`]. Readers see the previous publication then.
pub async fn rollup(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: &RollupRequest,
) -> Result<RollupReport, BatchError> {
    recorded(deps, profile, "rollup", publish(deps, profile, *request)).await
}

impl Summary for RollupReport {
    fn status(&self) -> JobStatus {
        match self.outcome {
            RollupOutcome::Published => JobStatus::Succeeded,
            RollupOutcome::UpToDate => JobStatus::Skipped,
        }
    }

    fn changed_rows(&self) -> u64 {
        self.partials
    }

    fn sentence(&self) -> String {
        let Some(version) = self.boundary.lake_version.filter(|_| self.outcome == RollupOutcome::Published) else {
            return "nothing new in the lake".to_owned();
        };
        let published = match self.windows {
            Some(windows) => format!("{} published up to lake version {version}", counted(windows, "window")),
            None => format!("all windows published up to lake version {version}, {} partials", self.partials),
        };
        let files = counted(self.read_files, "data file");
        match self.read_rows {
            Some(rows) => format!("{published}, from {} of {files}", counted(rows, "row")),
            None => format!("{published}, from {files}"),
        }
    }
}

/// The same as a step of another job, which is in the history itself.
///
/// # Errors
/// As [`rollup`].
pub(in crate::jobs) async fn publish(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: RollupRequest,
) -> Result<RollupReport, BatchError> {
    let began = Instant::now();
    let mut superseded_rows = 0;
    let mut refusal = String::new();
    for _ in 0..MAX_TRIES {
        let expected = deps.views.boundary(&profile.name).await?;
        let published = deps.views.published_shape(&profile.name).await?;
        let shape = PublishedShape { expected: published, next: Some(Shape::of(profile).text()) };
        // Windows that another profile published lack what this one has.
        let full = request.full || shape.expected != shape.next;
        let since = expected.lake_version.filter(|_| !full);
        let Settled { table, marked_rows } = match request.as_of {
            None => settle_superseded(deps, profile, since, "rollup").await?,
            Some(as_of) => settled_as_of(deps, profile, since, as_of, &expected).await?,
        };
        superseded_rows += marked_rows;
        let Some(table) = table else { return Ok(up_to_date(expected, began)) };
        let next = boundary_of(&table);
        if next == expected && !full {
            return Ok(up_to_date(expected, began));
        }
        let floor = window_floor(deps, profile, &table).await?;
        let scope = if full { Scope::All } else { scope_since(&expected, &deps.lake, &table, profile, floor).await? };
        let mut staging = Staging::new(deps, profile);
        let query_time = staging.fill(&table, &scope, floor).await?;
        let mut report = RollupReport {
            outcome: RollupOutcome::Published,
            full: matches!(scope, Scope::All),
            windows: None,
            partials: staging.staged,
            read_files: staging.read_files,
            read_rows: staging.read_rows,
            superseded_rows,
            since: expected.lake_version,
            boundary: next.clone(),
            cleared_speed_rows: 0,
            query_seconds: query_time.as_secs_f64(),
            publish_seconds: 0.0,
            seconds: 0.0,
        };
        let replaces = match scope {
            Scope::All => ReplacedWindows::All,
            Scope::Touched(windows) => {
                report.windows = Some(windows.len() as u64);
                ReplacedWindows::Touched(windows.into_list())
            }
        };
        let publication =
            Publication { stream: profile.name.clone(), expected, next, stage: staging.stage, replaces, shape };
        let publishing = Instant::now();
        match deps.views.publish(&publication).await? {
            PublishOutcome::Published => {
                report.cleared_speed_rows = clear_speed(deps, profile).await;
                report.publish_seconds = (staging.elapsed + publishing.elapsed()).as_secs_f64();
                report.seconds = began.elapsed().as_secs_f64();
                tracing::info!(
                    rollup.partials = report.partials,
                    rollup.full = report.full,
                    lake.version = table.version,
                    "published roll-ups"
                );
                return Ok(report);
            }
            PublishOutcome::Refused { reason } => refusal = reason,
        }
    }
    Err(BatchError::Contended { job: "rollup", attempts: MAX_TRIES, reason: refusal })
}

/// The start of the first window that is computed. Views that came back from a backup learn from the lake which readings
/// are gone: what they hold of those windows is all that is left of them.
async fn window_floor(
    deps: &BatchDeps,
    profile: &StreamProfile,
    table: &TableFiles,
) -> Result<Option<DateTime<Utc>>, BatchError> {
    let floors = deps.views.age_floors(&profile.name).await?;
    if let Some(floor) = table.floor.filter(|floor| floors.of(Aged::Readings) < Some(*floor)) {
        deps.views.raise_age_floor(&profile.name, Aged::Readings, floor).await?;
    }
    Ok(floors.of_computed_windows().max(table.floor))
}

/// An older version to publish. The views keep what they have seen of a newer one, and nothing can be marked in a version
/// that is past.
async fn settled_as_of(
    deps: &BatchDeps,
    profile: &StreamProfile,
    since: Option<i64>,
    as_of: AsOf,
    expected: &Boundary,
) -> Result<Settled, BatchError> {
    let table = deps.lake.open_table_as_of(&profile.name, LakeTable::Readings, Some(as_of)).await?;
    let version = table.version;
    if let Some(seen) = expected.lake_version.filter(|seen| *seen > version) {
        return Err(BatchError::BehindBoundary { version, seen });
    }
    if has_unsettled(deps, profile, since, &table).await? {
        return Err(BatchError::Unsettled { version });
    }
    Ok(Settled { table: Some(table), marked_rows: 0 })
}

/// Clears what speed has of the windows that batch has seen. Reads are exact without it, so a failure is logged, and the
/// next publication clears it.
async fn clear_speed(deps: &BatchDeps, profile: &StreamProfile) -> u64 {
    deps.views.drop_seen_speed_rollups(&profile.name, deps.clock.now()).await.unwrap_or_else(|error| {
        tracing::warn!(stream = profile.name.as_str(), %error, "speed's rows that batch has seen are not cleared yet");
        0
    })
}

/// The boundary that a publication of this version has: what the lake holds of each partition of a log.
fn boundary_of(table: &TableFiles) -> Boundary {
    Boundary { lake_version: Some(table.version), partitions: table.closed.clone() }
}

fn up_to_date(boundary: Boundary, began: Instant) -> RollupReport {
    RollupReport {
        outcome: RollupOutcome::UpToDate,
        full: false,
        windows: Some(0),
        partials: 0,
        read_files: 0,
        read_rows: Some(0),
        superseded_rows: 0,
        since: boundary.lake_version,
        boundary,
        cleared_speed_rows: 0,
        query_seconds: 0.0,
        publish_seconds: 0.0,
        seconds: began.elapsed().as_secs_f64(),
    }
}

/// Rows on their way to a stage, in chunks.
struct Staging<'a> {
    deps: &'a BatchDeps,
    profile: &'a StreamProfile,
    stage: StageId,
    waiting: Vec<RollupRow>,
    staged: u64,
    read_files: u64,
    read_rows: Option<u64>,
    elapsed: Duration,
}

impl<'a> Staging<'a> {
    fn new(deps: &'a BatchDeps, profile: &'a StreamProfile) -> Self {
        let stage = StageId(Uuid::new_v4());
        Self {
            deps,
            profile,
            stage,
            waiting: Vec::new(),
            staged: 0,
            read_files: 0,
            read_rows: Some(0),
            elapsed: Duration::ZERO,
        }
    }

    /// Computes and stages what is in the scope; tells how long the engine worked.
    async fn fill(
        &mut self,
        table: &TableFiles,
        scope: &Scope,
        floor: Option<DateTime<Utc>>,
    ) -> Result<Duration, BatchError> {
        let (files, only) = match scope {
            Scope::All => (table.only(|file| floor.is_none_or(|floor| !file.is_before(floor))), None),
            Scope::Touched(windows) => (table.only(|file| windows.may_be_in(file)), Some(windows)),
        };
        if files.files.is_empty() {
            return Ok(Duration::ZERO);
        }
        (self.read_files, self.read_rows) = (files.files.len() as u64, files.rows());
        let mut query = WindowQuery::over(&self.deps.lake, &files, self.profile)?;
        for secs in &self.profile.rollup_windows_secs {
            query.for_each(*secs, only, async |rows| self.add(rows).await).await?;
        }
        self.flush().await?;
        Ok(query.elapsed())
    }

    async fn add(&mut self, rows: Vec<RollupRow>) -> Result<(), BatchError> {
        self.waiting.extend(rows);
        while self.waiting.len() >= STAGE_ROWS {
            let rest = self.waiting.split_off(STAGE_ROWS);
            let chunk = std::mem::replace(&mut self.waiting, rest);
            self.stage(chunk).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BatchError> {
        let rest = std::mem::take(&mut self.waiting);
        if rest.is_empty() { Ok(()) } else { self.stage(rest).await }
    }

    async fn stage(&mut self, mut rows: Vec<RollupRow>) -> Result<(), BatchError> {
        let began = Instant::now();
        // Databases fill an index fastest in its own order.
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        self.deps.views.stage_rollups(self.stage, &self.profile.name, &rows).await?;
        self.staged += rows.len() as u64;
        self.elapsed += began.elapsed();
        Ok(())
    }
}
