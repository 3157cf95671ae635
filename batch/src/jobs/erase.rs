//! `erase`: a device leaves the lake and the views, for meter data is personal.
//!
//! Its rows and its dead letters become tombstones, which keep their positions and nothing else; saved detector states
//! forget it; a roll-up publishes windows without it; then its anomalies, forecasts and notifications go, in the
//! transaction that records the erasure. Each step finds nothing to do where it was done, so a job that was killed is run
//! again. Nobody may work on the stream's log meanwhile, and lake and views must have come equally far: what a member
//! remembers or reads again, it would judge by. docs/adr/0006 says why.

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::SourcePartition,
    job::JobStatus,
    lake::{LakeError, LakeTable, SegmentLake},
    model::ModelId,
    position::{DeviceId, Offset, PartitionId},
    stream::{Mention, StreamProfile},
    views::{Audit, DeviceErasure, DeviceRows, EraseOutcome, ErasedRows, OWNER_GONE_AFTER},
    wording::counted,
};
use serde::{Deserialize, Serialize};

use super::{
    history::{Summary, recorded},
    rollup::{RollupRequest, publish},
};
use crate::{
    BatchDeps, BatchError, RetentionConfig,
    erasure::{LettersOf, ReadingsOf, count_in, erase_from, forget_at, letters_in_views},
    ingest::Progress,
};

/// What to erase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EraseRequest {
    /// The device.
    pub device: DeviceId,
    /// Only says what would go.
    pub dry_run: bool,
    /// Who asks for it, when and why.
    pub audit: Audit,
    /// How long older versions stay readable, to say until when time travel remembers.
    pub retention: RetentionConfig,
}

/// What was, or would be, erased. It does not name the device, for it stays in the history.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EraseReport {
    /// Whether nothing was changed, because it was only asked what would be.
    pub dry_run: bool,
    /// Readings that became tombstones, those of an erasure that died included.
    pub readings: u64,
    /// Dead letters that became tombstones, likewise.
    pub dead_letters: u64,
    /// Saved detector states that were written anew.
    pub states: u64,
    /// Windows that were published without it; `None` for all of them.
    pub windows: Option<u64>,
    /// What left the views besides.
    pub views: DeviceRows,
    /// Models that learned from the device by name, and keep what they learned.
    pub models: Vec<ModelId>,
    /// Until when older versions of the tables may still show the device; a vacuum after it takes them.
    pub remembered_until: Option<DateTime<Utc>>,
    /// Until when lines of the tables' logs may name it, as the first or the last device of a data file that is gone.
    pub named_until: Option<DateTime<Utc>>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl EraseReport {
    /// Whether there was nothing of the device.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let DeviceRows { anomalies, speed_windows, forecasts, outbox, kept_windows } = self.views;
        let in_views = anomalies + speed_windows + forecasts + outbox + kept_windows;
        self.readings + self.dead_letters + self.states + in_views == 0
    }
}

impl Summary for EraseReport {
    fn status(&self) -> JobStatus {
        if self.dry_run || self.is_empty() { JobStatus::Skipped } else { JobStatus::Succeeded }
    }

    fn changed_rows(&self) -> u64 {
        if self.dry_run { 0 } else { self.readings + self.dead_letters }
    }

    fn sentence(&self) -> String {
        let what = format!(
            "{}, {}, {} and {}",
            counted(self.readings, "reading"),
            counted(self.dead_letters, "dead letter"),
            counted(self.views.anomalies, "alarm"),
            counted(self.views.forecasts, "forecast"),
        );
        match (self.is_empty(), self.dry_run) {
            (true, _) => "nothing is known of the device".to_owned(),
            (false, true) => format!("would erase {what}"),
            (false, false) => format!("erased {what}"),
        }
    }
}

/// Erases a device, or says what there is of it.
///
/// # Errors
/// [`BatchError::StreamAtWork`] or [`BatchError::NotClosed`] before anything is changed; [`BatchError::StreamAtWork`] if
/// somebody began to work meanwhile, [`BatchError::Lake`], [`BatchError::Views`] or [`BatchError::Contended`]: run it
/// again then.
pub async fn erase(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: &EraseRequest,
    progress: Arc<dyn Progress>,
) -> Result<EraseReport, BatchError> {
    if request.dry_run {
        return look(deps, profile, request).await;
    }
    recorded(deps, profile, "erase", run(deps, profile, request, progress.as_ref())).await
}

/// What there is of the device.
async fn look(deps: &BatchDeps, profile: &StreamProfile, request: &EraseRequest) -> Result<EraseReport, BatchError> {
    let (began, device) = (Instant::now(), &request.device);
    let died = not_on_record(deps, profile, device).await?;
    let letters = LettersOf { device, mention: &Mention::of(profile, device) };
    Ok(EraseReport {
        dry_run: true,
        readings: died.readings + count_in(deps, profile, &ReadingsOf(device)).await?,
        dead_letters: died.letters + count_in(deps, profile, &letters).await?,
        views: deps.views.device_rows(&profile.name, device).await?,
        models: deps.lake.models_naming(&profile.name, device).await?,
        seconds: began.elapsed().as_secs_f64(),
        ..EraseReport::default()
    })
}

async fn run(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: &EraseRequest,
    progress: &(dyn Progress + 'static),
) -> Result<EraseReport, BatchError> {
    let (began, device) = (Instant::now(), &request.device);
    let partitions = idle_partitions(deps, profile).await?;
    let mention = Mention::of(profile, device);
    let died = not_on_record(deps, profile, device).await?;
    let mut report = EraseReport {
        readings: died.readings + erase_from(deps, profile, &ReadingsOf(device), progress).await?,
        dead_letters: died.letters
            + erase_from(deps, profile, &LettersOf { device, mention: &mention }, progress).await?,
        ..EraseReport::default()
    };
    for (partition, closed) in &partitions {
        report.states += forget_at(deps, partition, *closed, device).await?;
    }
    report.windows = publish(deps, profile, RollupRequest::default()).await?.windows;
    let erasure = DeviceErasure {
        stream: profile.name.clone(),
        device: device.clone(),
        dead_letters: letters_in_views(deps, profile, &mention).await?,
        partitions,
        rows: ErasedRows { readings: report.readings, letters: report.dead_letters },
        audit: request.audit.clone(),
    };
    report.views = match deps.views.erase_device(&erasure).await? {
        EraseOutcome::Erased(rows) => rows,
        EraseOutcome::LiveOwner { partition, seen_at } => {
            return Err(BatchError::StreamAtWork { partition, seen_at: Some(seen_at) });
        }
        EraseOutcome::Elsewhere { partition } => return Err(BatchError::StreamAtWork { partition, seen_at: None }),
    };
    forget_deleted(deps, profile).await?;
    report.models = deps.lake.models_naming(&profile.name, device).await?;
    let in_days = |days: u32| deps.clock.now().checked_add_signed(TimeDelta::days(i64::from(days)));
    let RetentionConfig { versions_days, log_days, .. } = request.retention;
    (report.remembered_until, report.named_until) = (in_days(versions_days), in_days(log_days));
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

/// Rows that erasures turned to tombstones which died before they were on record. The tables count them; of a lake that is
/// older than the views' records nothing is left to count.
async fn not_on_record(deps: &BatchDeps, profile: &StreamProfile, device: &DeviceId) -> Result<ErasedRows, BatchError> {
    let recorded = deps.views.erased_on_record(&profile.name, device).await?;
    let erased = async |table| deps.lake.erased_rows(&profile.name, table, device).await;
    Ok(ErasedRows {
        readings: erased(LakeTable::Readings).await?.saturating_sub(recorded.readings),
        letters: erased(LakeTable::DeadLetters).await?.saturating_sub(recorded.letters),
    })
}

/// The partitions of the stream's logs, each with its A, which is L: nobody works on them, the lake holds all that was
/// applied, and nothing is to be applied again that a member would read from the log with the device in it.
async fn idle_partitions(deps: &BatchDeps, profile: &StreamProfile) -> Result<Vec<(PartitionId, Offset)>, BatchError> {
    let closed = deps.lake.snapshot(&profile.name, LakeTable::Readings).await?.closed;
    let mut idle = Vec::new();
    for partition in deps.views.known_partitions(&profile.name).await? {
        let Some(state) = deps.views.partition(&partition).await? else { continue };
        let seen_at = deps.views.owner_seen_at(&partition).await?;
        if let Some(seen_at) = seen_at.filter(|seen_at| deps.clock.now() - *seen_at < OWNER_GONE_AFTER) {
            return Err(BatchError::StreamAtWork { partition, seen_at: Some(seen_at) });
        }
        let begun_at = state.cuts.first().map_or(Offset::ZERO, |first| first.offset);
        let closed = closed.get(&SourcePartition::from(&partition)).copied().unwrap_or(begun_at);
        if closed != state.applied {
            return Err(BatchError::NotClosed { partition, applied: state.applied, closed });
        }
        idle.push((partition, state.applied));
    }
    Ok(idle)
}

/// Leaves no copy of what was deleted in the views' files, and checkpoints behind which a vacuum may delete the log: its
/// lines hold the least and the greatest device of each data file.
async fn forget_deleted(deps: &BatchDeps, profile: &StreamProfile) -> Result<(), BatchError> {
    for table in LakeTable::ALL {
        match deps.lake.checkpoint(&profile.name, table, 1).await {
            Ok(_) | Err(LakeError::NoSuchTable { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Readers of the same file may stand in the way; what is deleted is overwritten sooner or later.
    if let Err(error) = deps.views.overwrite_deleted().await {
        tracing::warn!(stream = profile.name.as_str(), %error, "the views' file keeps what was deleted until it is reused");
    }
    Ok(())
}
