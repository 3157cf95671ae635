//! `ingest`: a history file becomes rows of the lake, all of them in one commit.
//!
//! The file is hashed and read at the same time: its hash names its rows and says whether the lake knows the file, so no
//! data file is written before it is there. Rows whose key the lake or the file had before are left out. Data files are
//! encoded and stored beside the parsing; nobody sees them before the commit, which fails if another file came first,
//! and is then decided again.

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    job::JobStatus,
    lake::{
        CommitOutcome, LakeError, LakeSnapshot, LakeTable,
        delta::{FileIngest, TableFiles, WrittenFile},
    },
    position::SourceId,
    stream::StreamProfile,
};
use tokio::{
    sync::Semaphore,
    task::{JoinSet, spawn_blocking},
};

use super::history::{Summary, recorded};
use crate::{
    BatchDeps, BatchError,
    ingest::{
        BucketBuffer, BucketRows, DeviceNumbers, Feed, FileOutcome, HourlyStats, IngestError, IngestReport,
        IngestRequest, InputFile, KeySet, LakeKeys, Progress, Tally, check_target, find_repeats, stopped,
    },
};

/// How often the rows are compared anew because another file was ingested meanwhile.
const MAX_TRIES: u32 = 5;

/// Data files that are encoded at once, some 30 MB each at their largest: one a core.
const ENCODERS: usize = 2;

/// Data files on their way into the store, encoding included: while a store syncs some, the cores encode others.
const FILES_AT_ONCE: usize = 4;

/// Keys that are compared at once, of the file and of the lake: 1 GiB if they ascend. Fifteen years of one meter's minutes
/// are an eighth of it.
const MAX_KEYS: usize = 64 << 20;

/// Brings a file into the lake. A file that the lake knows changes nothing.
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
    recorded(deps, profile, "ingest", run(deps, profile, request, progress)).await
}

impl Summary for IngestReport {
    fn status(&self) -> JobStatus {
        if self.outcome == FileOutcome::AlreadyIngested { JobStatus::Skipped } else { JobStatus::Succeeded }
    }

    fn changed_rows(&self) -> u64 {
        self.rows
    }

    fn sentence(&self) -> String {
        format!("{}: {}", self.path.display(), self.summary())
    }
}

async fn run(
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
    let file = spawn_blocking(look).await.map_err(|error| stopped(&error))??;
    let hashing = {
        let file = file.clone();
        spawn_blocking(move || file.sha256())
    };
    let start = || {
        progress.begin(file.size_bytes);
        Feed::start(&file, request, profile, Arc::clone(&progress))
    };
    let mut started = Some(start());
    let sha256 = hashing.await.map_err(|error| stopped(&error))??;
    let source = SourceId::parse(&format!("file:{sha256}"))
        .map_err(|error| BatchError::Internal { job: "ingest", reason: error.to_string() })?;

    for _ in 0..MAX_TRIES {
        let base = newest_readings(deps, profile).await?;
        let known = deps.lake.known_file(&profile.name, &sha256).await?;
        if known && request.stats.is_none() {
            return Ok(already_ingested(request, sha256, base.as_ref(), began));
        }
        let feed = started.take().unwrap_or_else(start);
        let mut rows = FileRows::new(deps, profile, source.clone(), base.clone(), started_at);
        rows.stats = request.stats.as_ref().map(|_| HourlyStats::default());
        // Only the statistics are wanted of a file that is there.
        rows.writes = !known;
        let filed = rows.take_all(&file, feed).await;
        let tally = match filed {
            Ok(tally) => tally,
            Err(error) => {
                rows.discard().await;
                return Err(error);
            }
        };
        if let Err(error) = rows.write_stats(request, &sha256).await {
            rows.discard().await;
            return Err(error);
        }
        if known {
            return Ok(already_ingested(request, sha256, base.as_ref(), began));
        }
        let ingest =
            FileIngest { sha256: sha256.clone(), name: request.path.display().to_string(), counts: tally.counts() };
        if tally.bad_lines() > 0 {
            let letters = tally.dead_letters(&source, started_at);
            if let Err(error) = deps.lake.append_file_dead_letters(profile, &ingest, &letters).await {
                rows.discard().await;
                return Err(error.into());
            }
        }
        let snapshot = base.as_ref().map_or_else(empty_table, TableFiles::snapshot);
        match deps.lake.append_file(profile, &snapshot, &ingest, &rows.written).await? {
            CommitOutcome::Committed(version) => {
                let mut report = blank_report(request, sha256, FileOutcome::Ingested, Some(version));
                report.missing_rows = rows.missing_rows;
                report.files = rows.written.len() as u64;
                report.file_bytes = rows.written.iter().map(|file| file.size_bytes).sum();
                tally.fill(&mut report);
                report.seconds = began.elapsed().as_secs_f64();
                tracing::info!(
                    ingest.path = %request.path.display(),
                    ingest.rows = report.rows,
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
        reason: "another file was ingested each time".to_owned(),
    })
}

/// The rows of a file on their way into data files.
struct FileRows<'a> {
    deps: &'a BatchDeps,
    profile: &'a StreamProfile,
    source: SourceId,
    ingested_at: DateTime<Utc>,
    numbers: DeviceNumbers,
    file_keys: KeySet,
    lake_keys: LakeKeys,
    stats: Option<HourlyStats>,
    writes: bool,
    missing_rows: u64,
    encoders: Arc<Semaphore>,
    storing: JoinSet<Result<WrittenFile, BatchError>>,
    written: Vec<WrittenFile>,
}

impl<'a> FileRows<'a> {
    fn new(
        deps: &'a BatchDeps,
        profile: &'a StreamProfile,
        source: SourceId,
        base: Option<TableFiles>,
        ingested_at: DateTime<Utc>,
    ) -> Self {
        Self {
            deps,
            profile,
            source,
            ingested_at,
            numbers: DeviceNumbers::default(),
            file_keys: KeySet::default(),
            lake_keys: LakeKeys::of(base),
            stats: None,
            writes: true,
            missing_rows: 0,
            encoders: Arc::new(Semaphore::new(ENCODERS)),
            storing: JoinSet::new(),
            written: Vec::new(),
        }
    }

    /// Reads the feed to its end; the data files are stored then, and not yet committed.
    async fn take_all(&mut self, file: &InputFile, mut feed: Feed) -> Result<Tally, BatchError> {
        let mut tally = Tally::default();
        let mut buffer = BucketBuffer::new(self.profile);
        while let Some(mut rows) = feed.next().await? {
            if self.writes {
                self.lake_keys.read_for(&rows, &self.deps.lake, self.profile, &mut self.numbers, MAX_KEYS).await?;
            }
            let repeats = find_repeats(&rows, &mut self.numbers, &mut self.file_keys, self.lake_keys.keys());
            if self.file_keys.len() + self.lake_keys.keys().len() > MAX_KEYS {
                return Err(IngestError::TooManyRows { path: file.path.clone(), limit_rows: MAX_KEYS }.into());
            }
            if let Some(stats) = &mut self.stats {
                stats.add(&rows, &repeats);
            }
            tally.add(file, &mut rows, &repeats)?;
            if self.writes {
                for ready in buffer.push(&rows, &repeats)? {
                    self.store(ready).await?;
                }
            }
        }
        tally.check_readable(file)?;
        for ready in buffer.finish()? {
            self.store(ready).await?;
        }
        while let Some(stored) = self.storing.join_next().await {
            self.written.push(stored.map_err(|error| stopped(&error))??);
        }
        let unchanged = file.clone();
        spawn_blocking(move || unchanged.check_unchanged()).await.map_err(|error| stopped(&error))??;
        Ok(tally)
    }

    /// Writes the statistics, if they are wanted.
    async fn write_stats(&mut self, request: &IngestRequest, sha256: &str) -> Result<(), BatchError> {
        let (Some(stats), Some(target)) = (self.stats.take(), request.stats.clone()) else { return Ok(()) };
        let (profile, sha256) = (self.profile.clone(), sha256.to_owned());
        let written = spawn_blocking(move || stats.write(&target, &profile, &sha256));
        Ok(written.await.map_err(|error| stopped(&error))??)
    }

    /// Encodes and stores a data file beside the parsing; waits while enough of them are under way.
    async fn store(&mut self, rows: BucketRows) -> Result<(), BatchError> {
        while self.storing.len() >= FILES_AT_ONCE {
            if let Some(stored) = self.storing.join_next().await {
                self.written.push(stored.map_err(|error| stopped(&error))??);
            }
        }
        self.missing_rows += rows.count_missing(self.profile);
        let (lake, profile) = (Arc::clone(&self.deps.lake), self.profile.clone());
        let (source, ingested_at) = (self.source.clone(), self.ingested_at);
        let encoders = Arc::clone(&self.encoders);
        self.storing.spawn(async move {
            let columns = profile.clone();
            let turn = encoders.acquire_owned().await;
            let encoded = spawn_blocking(move || rows.encode(&columns, &source, ingested_at))
                .await
                .map_err(|error| stopped(&error))??;
            drop(turn);
            Ok(lake.put_file(&profile, LakeTable::Readings, encoded).await?)
        });
        Ok(())
    }

    /// Removes data files that no commit will name.
    async fn discard(&mut self) {
        while let Some(stored) = self.storing.join_next().await {
            self.written.extend(stored.ok().and_then(Result::ok));
        }
        self.deps.lake.discard(self.profile, LakeTable::Readings, &self.written).await;
        self.written.clear();
    }
}

async fn newest_readings(deps: &BatchDeps, profile: &StreamProfile) -> Result<Option<TableFiles>, BatchError> {
    match deps.lake.open_table(&profile.name, LakeTable::Readings, None).await {
        Ok(table) => Ok(Some(table)),
        Err(LakeError::NoSuchTable { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
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
        bad_lines: 0,
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
