//! Tables as they were: a version, or an instant, and all the data files that it needs.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{Error as StoreError, ObjectStoreExt, path::Path};

use super::{
    DeltaLake, TableFiles,
    checkpoint::oldest_checkpoint,
    log::{LoggedCommit, TableLog},
};
use crate::{
    lake::{AsOf, LakeError, LakeTable},
    position::StreamName,
};

/// Files asked for at once.
const HEADS: usize = 16;

impl DeltaLake {
    /// A table as of a point in its history, with all data files in place; its newest version without one. Commit times
    /// are taken to ascend: where the clocks of several writers differ, an instant between them is off by as much.
    ///
    /// # Errors
    /// [`LakeError::NoSuchTable`]; [`LakeError::OutOfReach`] or [`LakeError::NoVersionAt`] if the log does not reach there;
    /// [`LakeError::Vacuumed`] if data files of it were deleted.
    pub async fn open_table_as_of(
        &self,
        stream: &StreamName,
        table: LakeTable,
        as_of: Option<AsOf>,
    ) -> Result<TableFiles, LakeError> {
        let newest = self.open_table(stream, table, None).await?;
        let Some(as_of) = as_of else { return Ok(newest) };
        let log = self.table(stream, table);
        let version = match as_of {
            AsOf::Version(version) => version,
            AsOf::Time(at) => version_at(&log, at, newest.version).await?,
        };
        if version == newest.version {
            return Ok(newest);
        }
        let found = match self.open_table(stream, table, Some(version)).await {
            Err(LakeError::NoSuchVersion { table, version }) => {
                let oldest = oldest_version(&log).await?;
                return Err(LakeError::OutOfReach { table, version, oldest, newest: newest.version });
            }
            other => other?,
        };
        let missing = self.missing_files(&found, &newest).await?;
        if missing > 0 {
            return Err(LakeError::Vacuumed { table: log.name.to_string(), version, missing });
        }
        Ok(found)
    }

    /// When a version was committed.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`] if the log does not have its commit (any more).
    pub async fn committed_at(
        &self,
        stream: &StreamName,
        table: LakeTable,
        version: i64,
    ) -> Result<DateTime<Utc>, LakeError> {
        let log = self.table(stream, table);
        let commit = log.commit_at(version).await?;
        commit.map(|commit| time_of(&commit)).ok_or_else(|| log.no_such_version(version))
    }

    /// How many files of a version are deleted. Those that the newest version has, too, are there.
    async fn missing_files(&self, found: &TableFiles, newest: &TableFiles) -> Result<u64, LakeError> {
        let present: HashSet<&Path> = newest.files.iter().map(|file| &file.path).collect();
        let doubtful: Vec<Path> =
            found.files.iter().filter(|file| !present.contains(&file.path)).map(|file| found.location(file)).collect();
        let objects = self.store().objects();
        stream::iter(doubtful)
            .map(|location| async move {
                match objects.head(&location).await {
                    Ok(_) => Ok(0),
                    Err(StoreError::NotFound { .. }) => Ok(1),
                    Err(error) => Err(LakeError::from(error)),
                }
            })
            .buffer_unordered(HEADS)
            .try_fold(0, |missing, one: u64| async move { Ok(missing + one) })
            .await
    }
}

/// When a commit was made: what it says itself, else when the store took it.
pub(super) fn time_of(commit: &LoggedCommit) -> DateTime<Utc> {
    let told = commit.lines.iter().find_map(|line| line.commit_info.as_ref()?.get("timestamp")?.as_i64());
    told.and_then(DateTime::from_timestamp_millis).unwrap_or(commit.stored_at)
}

/// The newest version that was committed at or before an instant.
async fn version_at(log: &TableLog, at: DateTime<Utc>, newest: i64) -> Result<i64, LakeError> {
    let oldest = oldest_version(log).await?;
    // What `low` and everything below it says is known: at or before the instant.
    let (mut low, mut high) = (oldest - 1, newest + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        // The commit of a checkpoint may be cleaned up while the checkpoint stands; it is older than all that is there.
        let before = log.commit_at(middle).await?.is_none_or(|commit| time_of(&commit) <= at);
        if before {
            low = middle;
        } else {
            high = middle;
        }
    }
    if low < oldest {
        let oldest_at = log.commit_at(oldest).await?.map(|commit| time_of(&commit)).unwrap_or_default();
        return Err(LakeError::NoVersionAt { table: log.name.to_string(), at, oldest, oldest_at });
    }
    Ok(low)
}

/// The oldest version that can be read: the first one, unless a vacuum forgot it, or commits were cleaned up below a
/// checkpoint.
pub(super) async fn oldest_version(log: &TableLog) -> Result<i64, LakeError> {
    let horizon = log.newest().await?.and_then(|state| state.horizon()).unwrap_or_default();
    if log.commit_at(0).await?.is_some() {
        return Ok(horizon);
    }
    Ok(oldest_checkpoint(log).await?.unwrap_or_default().max(horizon))
}
