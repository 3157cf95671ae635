//! `vacuum`: what nobody needs any more leaves the store.
//!
//! That are data files which only versions older than the retention name, files that no commit ever named, the log behind
//! the checkpoint from which the readable versions are read, and detector states that no restore would choose. Whatever
//! the retention says, what the published boundary's version names stays, and all that came after it: roll-ups and `verify`
//! read it.

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    job::JobStatus,
    lake::{
        LakeError, LakeTable,
        delta::{StoredObject, VacuumLimits},
        paths::stream_folder,
    },
    stream::StreamProfile,
    wording::counted,
};
use serde::{Deserialize, Serialize};

use super::history::{Summary, recorded};
use crate::{BatchDeps, BatchError, RetentionConfig, compaction::CHECKPOINT_EVERY_COMMITS, ingest::Progress};

/// Younger than this, a data file that no commit names may be that of a job that still writes others. An ingest of a
/// gigabyte takes minutes.
const COMMIT_WITHIN: TimeDelta = TimeDelta::days(1);

/// The longest that one job reads from the version that it opened, with room to spare. A retention below it is refused
/// unless it is forced.
const SAFE_RETENTION_DAYS: u32 = 1;

/// Newest states of a partition: the one that a restore takes, and some in case that it was folded with other pins.
const KEPT_STATES: usize = 5;

/// Deletes of states at once.
const DELETES: usize = 16;

/// What to delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VacuumRequest {
    /// How long versions stay readable, and the log with them.
    pub retention: RetentionConfig,
    /// Only says what would be deleted.
    pub dry_run: bool,
    /// Also below a safe retention: the operator knows that no job runs.
    pub force: bool,
}

/// What was, or would be, deleted of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VacuumedTable {
    /// `readings` or `dead_letters`.
    pub table: String,
    /// The oldest version that stays readable.
    pub oldest_version: i64,
    /// Data files.
    pub data_files: u64,
    /// Commits and checkpoints.
    pub log_files: u64,
    /// Size of all of them, in bytes.
    pub bytes: u64,
}

/// What a vacuum did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VacuumReport {
    /// Whether nothing was deleted, because it was only asked what would be.
    pub dry_run: bool,
    /// The tables that exist.
    pub tables: Vec<VacuumedTable>,
    /// Saved detector states.
    pub states: u64,
    /// Size of the states, in bytes.
    pub state_bytes: u64,
    /// Half-written files in a folder, whose writers died.
    pub staged_files: u64,
    /// Their size, in bytes.
    pub staged_bytes: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl VacuumReport {
    /// Files of all kinds.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.tables.iter().map(|table| table.data_files + table.log_files).sum::<u64>()
            + self.states
            + self.staged_files
    }

    /// Size of all of them, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum::<u64>() + self.state_bytes + self.staged_bytes
    }
}

impl Summary for VacuumReport {
    fn status(&self) -> JobStatus {
        if self.dry_run || self.files() == 0 { JobStatus::Skipped } else { JobStatus::Succeeded }
    }

    fn changed_rows(&self) -> u64 {
        0
    }

    fn sentence(&self) -> String {
        let files = counted(self.files(), "file");
        match (self.files(), self.dry_run) {
            (0, _) => "nothing that nobody needs".to_owned(),
            (_, true) => format!("would delete {files}, {} bytes", self.bytes()),
            (_, false) => format!("deleted {files}, {} bytes", self.bytes()),
        }
    }
}

/// Deletes what nobody needs, or says what that is. Stopped at any point, it leaves tables that open; the next run ends
/// what this one began.
///
/// # Errors
/// [`BatchError::UnsafeRetention`], [`BatchError::Lake`] or [`BatchError::Views`].
pub async fn vacuum(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: &VacuumRequest,
    progress: Arc<dyn Progress>,
) -> Result<VacuumReport, BatchError> {
    let retention = &request.retention;
    if retention.versions_days < SAFE_RETENTION_DAYS && !request.force && !request.dry_run {
        return Err(BatchError::UnsafeRetention { days: retention.versions_days, safe_days: SAFE_RETENTION_DAYS });
    }
    let running = run(deps, profile, request, progress.as_ref());
    // A question is no run: the schedule would take it for tonight's.
    if request.dry_run { running.await } else { recorded(deps, profile, "vacuum", running).await }
}

async fn run(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: &VacuumRequest,
    progress: &(dyn Progress + 'static),
) -> Result<VacuumReport, BatchError> {
    let began = Instant::now();
    let mut report = VacuumReport { dry_run: request.dry_run, ..VacuumReport::default() };
    let deleted = |object: &StoredObject| progress.advance(object.size_bytes);
    let mut total_bytes = 0;
    for kind in LakeTable::ALL {
        if !request.dry_run && !checkpointed(deps, profile, kind).await? {
            continue;
        }
        let limits = limits(deps, profile, kind, &request.retention).await?;
        let Some(plan) = deps.lake.plan_vacuum(&profile.name, kind, &limits).await? else { continue };
        total_bytes += plan.size_bytes();
        progress.begin(total_bytes);
        if !request.dry_run {
            deps.lake.vacuum(&profile.name, kind, &plan, deleted).await?;
        }
        report.tables.push(VacuumedTable {
            table: kind.folder_name().to_owned(),
            oldest_version: plan.horizon,
            data_files: plan.data_files.len() as u64,
            log_files: plan.log_files.len() as u64,
            bytes: plan.size_bytes(),
        });
    }
    let daily_since = before(deps.clock.now(), request.retention.log_days);
    let states = deps.lake.stale_states(&profile.name, KEPT_STATES, daily_since).await?;
    report.states = states.len() as u64;
    report.state_bytes = states.iter().map(|state| state.size_bytes).sum();
    progress.begin(total_bytes + report.state_bytes);
    if !request.dry_run {
        deps.lake.delete_objects(&states, DELETES, deleted).await?;
    }
    let dead_since = deps.clock.now() - COMMIT_WITHIN;
    let staged = deps.lake.store().sweep_staged(&stream_folder(&profile.name), dead_since, !request.dry_run).await?;
    (report.staged_files, report.staged_bytes) = (staged.files, staged.bytes);
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

/// Writes a checkpoint if one is due; `false` if there is no table.
async fn checkpointed(deps: &BatchDeps, profile: &StreamProfile, kind: LakeTable) -> Result<bool, BatchError> {
    match deps.lake.checkpoint(&profile.name, kind, CHECKPOINT_EVERY_COMMITS).await {
        Ok(_) => Ok(true),
        Err(LakeError::NoSuchTable { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn limits(
    deps: &BatchDeps,
    profile: &StreamProfile,
    kind: LakeTable,
    retention: &RetentionConfig,
) -> Result<VacuumLimits, BatchError> {
    let now = deps.clock.now();
    // Only readings are published.
    let version = match kind {
        LakeTable::Readings => deps.views.boundary(&profile.name).await?.lake_version,
        LakeTable::DeadLetters => None,
    };
    Ok(VacuumLimits {
        versions_since: before(now, retention.versions_days),
        // A member that was paused for longer than this would append to a log that has moved on without it.
        log_since: before(now, retention.log_days.max(SAFE_RETENTION_DAYS)),
        uncommitted_since: now - COMMIT_WITHIN,
        version,
    })
}

fn before(now: DateTime<Utc>, days: u32) -> DateTime<Utc> {
    now.checked_sub_signed(TimeDelta::days(i64::from(days))).unwrap_or(DateTime::<Utc>::MIN_UTC)
}
