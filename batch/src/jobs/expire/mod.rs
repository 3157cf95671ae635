//! `expire`: what is older than its limit leaves the views and the lake.
//!
//! A limit is first made a floor in the views, which never falls: from then on readers no longer see what lies below, and no
//! roll-up brings it back. Then the rows go, some at a time, so that speed's transactions wait for moments only, and the
//! lake's data files that hold nothing younger (`letters`, `readings`). A job that was stopped anywhere is ended by the
//! next one. docs/adr/0007 says why.

mod letters;
mod readings;

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, NaiveTime, Utc};
use kilowatch_shared::{
    job::JobStatus,
    lake::{
        CommitOutcome, LakeTable,
        delta::{ExpiredFiles, LakeFile, TableFiles},
        schema::bucket_of,
    },
    stream::StreamProfile,
    views::Aged,
    wording::counted,
};
use serde::{Deserialize, Serialize};

use super::history::{Summary, recorded};
use crate::{BatchDeps, BatchError, RetentionConfig, ingest::Progress};

/// Rows of the views that go in one transaction: some tens of milliseconds.
const ROWS_AT_ONCE: u32 = 5_000;

/// Looks at a table at most: another job may rewrite a data file that is about to go.
const MAX_LOOKS: u32 = 5;

/// What is to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpireRequest {
    /// The limits.
    pub retention: RetentionConfig,
    /// Only says what would go.
    pub dry_run: bool,
}

/// What went, or would go, of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// Which kind.
    pub what: Aged,
    /// What lies before it is too old.
    pub before: DateTime<Utc>,
    /// The oldest time of those rows of the views.
    pub oldest: Option<DateTime<Utc>>,
    /// Rows of the views.
    pub rows: u64,
    /// Data files of the lake.
    pub lake_files: u64,
    /// Their rows.
    pub lake_rows: u64,
    /// Their size in bytes. Older versions name them until a vacuum.
    pub lake_bytes: u64,
    /// Data files that are too old and wait: for a roll-up that publishes their rows, or for a detector state behind which
    /// nobody replays them.
    pub waiting_files: u64,
}

/// What an expiry did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExpireReport {
    /// Whether nothing was deleted, because it was only asked what would be.
    pub dry_run: bool,
    /// What has a limit, in the order in which it goes.
    pub expired: Vec<Expired>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl ExpireReport {
    /// Rows of views and lake.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.expired.iter().map(|expired| expired.rows + expired.lake_rows).sum()
    }
}

impl Summary for ExpireReport {
    fn status(&self) -> JobStatus {
        if self.dry_run || self.rows() == 0 { JobStatus::Skipped } else { JobStatus::Succeeded }
    }

    fn changed_rows(&self) -> u64 {
        if self.dry_run { 0 } else { self.rows() }
    }

    fn sentence(&self) -> String {
        if self.expired.is_empty() {
            return "no age limit is set: everything is kept".to_owned();
        }
        let went: Vec<String> = self.expired.iter().filter_map(Expired::words).collect();
        let waiting = match self.expired.iter().map(|expired| expired.waiting_files).sum() {
            0 => String::new(),
            files => format!("; waiting for a roll-up or a detector state: {}", counted(files, "data file")),
        };
        match (went.is_empty(), self.dry_run) {
            (true, _) if waiting.is_empty() => "nothing is older than its limit".to_owned(),
            (true, _) => format!("nothing went{waiting}"),
            (false, true) => format!("would delete {}{waiting}", went.join(", ")),
            (false, false) => format!("deleted {}{waiting}", went.join(", ")),
        }
    }
}

impl Expired {
    const fn new(what: Aged, before: DateTime<Utc>) -> Self {
        Self { what, before, oldest: None, rows: 0, lake_files: 0, lake_rows: 0, lake_bytes: 0, waiting_files: 0 }
    }

    /// `12 windows before 2024-01-01`, if anything goes.
    fn words(&self) -> Option<String> {
        let noun = match self.what {
            Aged::Readings => "reading",
            Aged::DeadLetters => "dead letter",
            Aged::Windows => "window partial",
            Aged::Anomalies => "anomaly record",
            Aged::Forecasts => "forecast",
        };
        let places = [(self.rows, "of the views"), (self.lake_rows, "of the lake")];
        let counts = places.iter().filter(|(rows, _)| *rows > 0);
        let counts: Vec<String> = counts.map(|(rows, place)| format!("{} {place}", counted(*rows, noun))).collect();
        (!counts.is_empty()).then(|| format!("{} before {}", counts.join(" and "), self.before.date_naive()))
    }

    fn add_files(&mut self, files: &[Arc<LakeFile>]) {
        self.lake_files += files.len() as u64;
        self.lake_rows += files.iter().filter_map(|file| file.stats.rows).sum::<u64>();
        self.lake_bytes += files.iter().map(|file| file.size_bytes).sum::<u64>();
    }
}

/// Deletes what is older than its limit, or says what that is.
///
/// # Errors
/// [`BatchError::Lake`], [`BatchError::Views`] or [`BatchError::Contended`]; the next run goes on where this one ended.
pub async fn expire(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: &ExpireRequest,
    progress: Arc<dyn Progress>,
) -> Result<ExpireReport, BatchError> {
    let running = run(deps, profile, request, progress.as_ref());
    // A question is no run: the schedule would take it for tonight's.
    if request.dry_run { running.await } else { recorded(deps, profile, "expire", running).await }
}

async fn run(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: &ExpireRequest,
    progress: &(dyn Progress + 'static),
) -> Result<ExpireReport, BatchError> {
    let (began, now) = (Instant::now(), deps.clock.now());
    let mut report = ExpireReport { dry_run: request.dry_run, ..ExpireReport::default() };
    for what in Aged::ALL {
        let Some(floor) = request.retention.floor_of(&profile.name, what, now) else { continue };
        if what == Aged::Readings {
            report.expired.push(readings::expire(deps, profile, floor, request.dry_run).await?);
            continue;
        }
        let found = deps.views.rows_before(&profile.name, what, floor).await?;
        let mut expired = Expired { oldest: found.oldest, rows: found.rows, ..Expired::new(what, floor) };
        if !request.dry_run {
            deps.views.raise_age_floor(&profile.name, what, floor).await?;
            let before = report.expired.iter().map(|earlier| earlier.rows).sum::<u64>();
            progress.begin(before + found.rows);
            expired.rows = drop_rows(deps, profile, (what, floor), progress).await?;
        }
        if what == Aged::DeadLetters {
            letters::expire(deps, profile, request.dry_run, &mut expired).await?;
        }
        report.expired.push(expired);
    }
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

async fn drop_rows(
    deps: &BatchDeps,
    profile: &StreamProfile,
    (what, floor): (Aged, DateTime<Utc>),
    progress: &(dyn Progress + 'static),
) -> Result<u64, BatchError> {
    let mut dropped = 0;
    loop {
        let rows = deps.views.drop_before(&profile.name, what, floor, ROWS_AT_ONCE).await?;
        if rows == 0 {
            return Ok(dropped);
        }
        dropped += rows;
        progress.advance(rows);
    }
}

/// The last midnight that no bucket of before the floor reaches beyond: what is younger stays in one piece.
fn floor_of_buckets(profile: &StreamProfile, floor: DateTime<Utc>) -> DateTime<Utc> {
    bucket_of(profile.bucket, floor).and_time(NaiveTime::MIN).and_utc()
}

/// Commits the removal of what a look at the table finds, or only tells of it. Of a table that changed meanwhile, it is
/// looked at anew.
async fn expire_files(
    deps: &BatchDeps,
    profile: &StreamProfile,
    (kind, dry_run): (LakeTable, bool),
    look: impl AsyncFn(&TableFiles) -> Result<ExpiredFiles, BatchError>,
) -> Result<ExpiredFiles, BatchError> {
    for _ in 0..MAX_LOOKS {
        let Some(table) = deps.lake.newest_table(&profile.name, kind).await? else {
            return Ok(ExpiredFiles::default());
        };
        let found = look(&table).await?;
        if found.files.is_empty() || dry_run {
            return Ok(found);
        }
        match deps.lake.expire_files(&profile.name, kind, &found).await? {
            CommitOutcome::Committed(version) => {
                tracing::debug!(lake.version = version, expire.files = found.files.len(), "took out data files");
                return Ok(found);
            }
            CommitOutcome::Conflict => {}
        }
    }
    let reason = "other jobs rewrote the same data files each time".to_owned();
    Err(BatchError::Contended { job: "expire", attempts: MAX_LOOKS, reason })
}
