//! `ingest`: a history file becomes rows of the lake, all of them in one commit.
//!
//! The file is hashed and read at the same time: its hash names its rows and says whether the lake knows the file, so no
//! data file is written before it is there. Rows whose key the lake or the file had before are left out. Data files are
//! encoded and stored beside the parsing (`file_rows`); nobody sees them before the commit, which fails if another file came
//! first, and is then decided again. Where rows of the lake are to be replaced, the copies of their data files in which they
//! are marked go into the same commit.

mod file_rows;

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    job::JobStatus,
    lake::{
        CommitOutcome, LakeSnapshot, LakeTable,
        delta::{FileIngest, Replaced, TableFiles},
    },
    position::SourceId,
    stream::StreamProfile,
    views::Aged,
};
use tokio::task::spawn_blocking;

use super::history::{Summary, recorded};
use crate::{
    BatchDeps, BatchError,
    ingest::{
        BrokenOff, ConflictingRow, Feed, FileOutcome, HourlyStats, IngestError, IngestReport, IngestRequest, InputFile,
        OnConflict, Progress, Tally, check_target, told,
    },
    rollups::settle_superseded,
};
use file_rows::FileRows;

/// How often the rows are compared anew because another file was ingested meanwhile.
const MAX_TRIES: u32 = 5;

/// Brings a file into the lake. A file that the lake knows changes nothing, unless rows that it left out are to replace
/// those that they contradict.
///
/// # Errors
/// [`IngestError`] in [`BatchError::Ingest`] for what is wrong with the file or the request, [`BatchError::Lake`], or
/// [`BatchError::Contended`]. The lake holds nothing of the file then, except if the store failed to answer the commit
/// itself: running the job again tells.
pub async fn ingest(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: &IngestRequest,
    progress: Arc<dyn Progress>,
) -> Result<IngestReport, BatchError> {
    // On the heap: a schedule that awaits all jobs in one task would not fit on a thread's stack.
    recorded(deps, profile, "ingest", Box::pin(bring(deps, profile, request, progress))).await
}

impl Summary for IngestReport {
    fn status(&self) -> JobStatus {
        if self.outcome == FileOutcome::AlreadyIngested { JobStatus::Skipped } else { JobStatus::Succeeded }
    }

    fn changed_rows(&self) -> u64 {
        self.rows + self.replaced_rows
    }

    fn sentence(&self) -> String {
        format!("{}: {}", self.path.display(), self.summary())
    }
}

/// The same as a step of another job, which is in the history itself.
///
/// # Errors
/// As [`ingest`].
pub(super) async fn bring(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: &IngestRequest,
    progress: Arc<dyn Progress>,
) -> Result<IngestReport, BatchError> {
    let (began, started_at) = (Instant::now(), deps.clock.now());
    let asked = request.clone();
    let look = move || {
        let file = InputFile::look_at(&asked.path, &asked.at)?;
        asked.stats.as_deref().map_or(Ok(()), |target| check_target(target, &file))?;
        Ok::<_, IngestError>(file)
    };
    let file = spawn_blocking(look).await.map_err(|error| BatchError::stopped("ingest", &error))??;
    let hashing = {
        let file = file.clone();
        spawn_blocking(move || file.sha256())
    };
    let start = || {
        progress.begin(file.size_bytes);
        Feed::start(&file, request, profile, Arc::clone(&progress))
    };
    let mut started = Some(start());
    let sha256 = hashing.await.map_err(|error| BatchError::stopped("ingest", &error))??;
    let source = SourceId::parse(&format!("file:{sha256}"))
        .map_err(|error| BatchError::Internal { job: "ingest", reason: error.to_string() })?;

    let replaces = request.on_conflict == OnConflict::Replace;
    for _ in 0..MAX_TRIES {
        // Before anything is marked for a file that changes nothing.
        if request.only_new && deps.lake.known_file(&profile.name, &sha256).await? {
            let base = deps.lake.newest_table(&profile.name, LakeTable::Readings).await?;
            return Ok(already_ingested(request, sha256, base.as_ref(), began));
        }
        let base = if replaces {
            settled_readings(deps, profile).await?
        } else {
            deps.lake.newest_table(&profile.name, LakeTable::Readings).await?
        };
        let known = deps.lake.known_file(&profile.name, &sha256).await?;
        if known && (request.only_new || (!replaces && request.stats.is_none())) {
            return Ok(already_ingested(request, sha256, base.as_ref(), began));
        }
        let feed = started.take().unwrap_or_else(start);
        let mut rows = FileRows::new(deps, profile, source.clone(), base.clone(), started_at);
        rows.floor = reading_floor(deps, profile, base.as_ref()).await?;
        if !known && deps.lake.knows_bad_lines_of(&profile.name, &sha256).await? {
            rows.broken_off = BrokenOff::read(deps, profile, &source).await?;
        }
        rows.stats = request.stats.as_ref().map(|_| HourlyStats::default());
        // Only the statistics are wanted of a file that is there, unless it may bring the rows that it left out.
        rows.writes = !known || replaces;
        let filed = read(&mut rows, (base.as_ref(), known), (&file, feed), request, &sha256).await;
        let (tally, conflicts) = match filed {
            Ok(filed) => filed,
            Err(error) => {
                rows.discard().await;
                return Err(error);
            }
        };
        if known && !(replaces && tally.changes_rows()) {
            return Ok(already_ingested(request, sha256, base.as_ref(), began));
        }
        let ingest =
            FileIngest { sha256: sha256.clone(), name: request.path.display().to_string(), counts: tally.counts() };
        if tally.new_bad_lines() > 0 {
            let letters = tally.dead_letters(&source, started_at);
            if let Err(error) = deps.lake.append_file_dead_letters(profile, &ingest, &letters).await {
                rows.discard().await;
                return Err(error.into());
            }
        }
        let snapshot = base.as_ref().map_or_else(empty_table, TableFiles::snapshot);
        let outcome = if replaces {
            let replaced = Replaced { old: &rows.remarked.old, new: &rows.remarked.new };
            deps.lake.append_file_replacing(profile, &snapshot, &ingest, &rows.written, replaced).await?
        } else {
            deps.lake.append_file(profile, &snapshot, &ingest, &rows.written).await?
        };
        match outcome {
            CommitOutcome::Committed(version) => {
                let mut report = blank_report(request, sha256, FileOutcome::Ingested, Some(version));
                report.missing_rows = rows.missing_rows;
                report.files = rows.written.len() as u64;
                report.file_bytes = rows.written.iter().map(|file| file.size_bytes).sum();
                report.conflicting_examples = conflicts;
                tally.fill(&mut report);
                report.seconds = began.elapsed().as_secs_f64();
                tracing::info!(
                    ingest.path = %request.path.display(),
                    ingest.rows = report.rows,
                    ingest.replaced = report.replaced_rows,
                    ingest.bad_lines = report.bad_lines,
                    ingest.identical = report.identical_rows,
                    ingest.conflicting = report.conflicting_rows,
                    lake.version = version,
                    "ingested a file"
                );
                return Ok(report);
            }
            CommitOutcome::Conflict => rows.discard().await,
        }
    }
    Err(BatchError::Contended {
        job: "ingest",
        attempts: MAX_TRIES,
        reason: "another file was ingested, or data files were written anew, each time".to_owned(),
    })
}

/// Reads a file to its end: all its data files are stored then, its statistics written, its conflicts looked up.
async fn read(
    rows: &mut FileRows<'_>,
    (base, known): (Option<&TableFiles>, bool),
    (file, feed): (&InputFile, Feed),
    request: &IngestRequest,
    sha256: &str,
) -> Result<(Tally, Vec<ConflictingRow>), BatchError> {
    if request.on_conflict == OnConflict::Replace {
        rows.replace(base, known).await?;
    }
    let tally = rows.take_all(file, feed).await?;
    rows.write_stats(request, sha256).await?;
    let conflicts = told(&tally.conflicts, rows.deps, rows.profile, base, (file, request)).await?;
    Ok((tally, conflicts))
}

/// The table at a version in which of each device and time one row counts, so that it is known which one is replaced.
async fn settled_readings(deps: &BatchDeps, profile: &StreamProfile) -> Result<Option<TableFiles>, BatchError> {
    let seen = deps.views.boundary(&profile.name).await?.lake_version;
    Ok(settle_superseded(deps, profile, seen, "ingest").await?.table)
}

/// From when on readings are kept, as views or lake remember it.
async fn reading_floor(
    deps: &BatchDeps,
    profile: &StreamProfile,
    base: Option<&TableFiles>,
) -> Result<Option<DateTime<Utc>>, BatchError> {
    let in_views = deps.views.age_floors(&profile.name).await?.of(Aged::Readings);
    Ok(in_views.max(base.and_then(|table| table.floor)))
}

fn empty_table() -> LakeSnapshot {
    LakeSnapshot { version: None, closed: std::collections::BTreeMap::new() }
}

fn already_ingested(
    request: &IngestRequest,
    sha256: String,
    base: Option<&TableFiles>,
    began: Instant,
) -> IngestReport {
    let version = base.map(|table| table.version);
    let mut report = blank_report(request, sha256, FileOutcome::AlreadyIngested, version);
    report.seconds = began.elapsed().as_secs_f64();
    report
}

fn blank_report(
    request: &IngestRequest,
    sha256: String,
    outcome: FileOutcome,
    lake_version: Option<i64>,
) -> IngestReport {
    IngestReport {
        path: request.path.clone(),
        sha256,
        outcome,
        read_rows: 0,
        rows: 0,
        missing_rows: 0,
        identical_rows: 0,
        conflicting_rows: 0,
        replaced_rows: 0,
        too_old_rows: 0,
        bad_lines: 0,
        known_bad_lines: 0,
        identical_examples: Vec::new(),
        conflicting_examples: Vec::new(),
        bad_line_examples: Vec::new(),
        time_range: None,
        files: 0,
        file_bytes: 0,
        lake_version,
        seconds: 0.0,
    }
}
