//! Data files in the place of others: what becomes of the rows, and what the commit says of it.

use std::sync::Arc;

use serde_json::Map;

use super::{
    DeltaLake, LakeFile, WrittenFile,
    actions::{Add, LogLine, Remove},
    append::table_lines,
    commit::Draft,
    state::TableState,
};
use crate::{
    lake::{
        CommitOutcome, LakeError, LakeTable,
        schema::{BUCKET_COLUMN, declared_schema},
    },
    position::{DeviceId, StreamName},
    stream::StreamProfile,
};

/// Why data files are written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewrite<'a> {
    /// The same rows in fewer files; readers of changes see none.
    Merged,
    /// The same rows with other flags.
    Marked,
    /// Tombstones in the place of rows of a device. The table counts them ([`DeltaLake::erased_rows`]).
    Erased {
        /// The device.
        device: &'a DeviceId,
        /// How many rows become tombstones.
        rows: u64,
    },
}

impl DeltaLake {
    /// Puts data files in the place of others in one commit. It is a [`CommitOutcome::Conflict`] if one of `old` is no
    /// longer in the table.
    ///
    /// # Errors
    /// [`LakeError::DraftGone`], and nothing is in; or the store's: it is then unknown whether the commit is in.
    pub async fn replace_files(
        &self,
        profile: &StreamProfile,
        table: LakeTable,
        old: &[Arc<LakeFile>],
        new: &[WrittenFile],
        rewrite: Rewrite<'_>,
    ) -> Result<CommitOutcome, LakeError> {
        self.check_drafted(profile, table, new).await?;
        let now = self.now();
        let millis = now.timestamp_millis();
        let columns = declared_schema(profile, table);
        let changes_data = rewrite != Rewrite::Merged;
        let counted = match rewrite {
            Rewrite::Merged => Some((format!("{}/compact", profile.name), 1)),
            Rewrite::Marked => None,
            Rewrite::Erased { device, rows } => Some((erased_app_id(&profile.name, device), rows.cast_signed())),
        };
        // Readers take a file's age for that of its rows.
        let rows_written = old.iter().map(|file| file.modified_at.timestamp_millis()).max();
        self.table(&profile.name, table)
            .commit(now, |state| {
                if !holds_all(state, old) {
                    return Ok(None);
                }
                let mut lines = table_lines(state, &columns, millis)?;
                if let Some((app_id, more)) = &counted {
                    let last = state.and_then(|state| state.txn(app_id)).map_or(0, |txn| txn.value);
                    lines.push(LogLine::of_txn(app_id.clone(), last + more, millis));
                }
                lines.extend(old.iter().map(|file| removal(file, changes_data, millis)));
                lines.extend(new.iter().map(|file| {
                    let mut add = Add { data_change: changes_data, ..file.add.clone() };
                    if let Some(millis) = rows_written.filter(|_| !changes_data) {
                        add.modification_time = millis;
                    }
                    LogLine { add: Some(add), ..LogLine::default() }
                }));
                let operation = if changes_data { "UPDATE" } else { "OPTIMIZE" };
                Ok(Some(Draft { operation, facts: Map::new(), lines }))
            })
            .await
    }

    /// How many rows of a device ever became tombstones in a table. The commits that made them count them, so that an
    /// erasure that died is not forgotten: a tombstone itself no longer says whose row it was.
    ///
    /// # Errors
    /// The store's.
    pub async fn erased_rows(
        &self,
        stream: &StreamName,
        table: LakeTable,
        device: &DeviceId,
    ) -> Result<u64, LakeError> {
        let state = self.table(stream, table).newest().await?;
        let counted = state.and_then(|state| state.txn(&erased_app_id(stream, device)));
        Ok(counted.map_or(0, |txn| u64::try_from(txn.value).unwrap_or_default()))
    }
}

/// The app id under which a table counts what was erased of a device, whom it does not name.
fn erased_app_id(stream: &StreamName, device: &DeviceId) -> String {
    format!("{stream}/erased/{}", device.sha256())
}

/// Whether all these files are in the table.
pub(super) fn holds_all(state: Option<&TableState>, files: &[Arc<LakeFile>]) -> bool {
    files.iter().all(|file| state.is_some_and(|state| state.file(&file.path).is_some()))
}

/// The line that takes a file out of the table.
pub(super) fn removal(file: &LakeFile, data_change: bool, deletion_timestamp: i64) -> LogLine {
    let bucket = file.bucket.map(|bucket| (BUCKET_COLUMN.to_owned(), Some(bucket.to_string())));
    LogLine {
        remove: Some(Remove {
            path: file.logged_path.clone(),
            deletion_timestamp: Some(deletion_timestamp),
            data_change,
            extended_file_metadata: Some(true),
            partition_values: bucket.into_iter().collect(),
            size: Some(file.size_bytes.cast_signed()),
        }),
        ..LogLine::default()
    }
}
