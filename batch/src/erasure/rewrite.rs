//! Data files that are put in the place of others, some at a time, whatever else is committed meanwhile.

use std::sync::Arc;

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use chrono::NaiveDate;
use kilowatch_shared::{
    lake::{
        CommitOutcome, LakeError, LakeTable,
        delta::{LakeFile, TableFiles, WrittenFile},
        files::FileEncoder,
    },
    stream::StreamProfile,
};
use tokio::task::spawn_blocking;

use crate::{BatchDeps, BatchError, compaction::as_stored};

/// Looks at a table at most: each leaves fewer files to rewrite, unless others keep rewriting them.
pub(super) const MAX_LOOKS: u32 = 20;

/// Files of one commit. What is committed stays done when the job stops.
pub(super) const FILES_AT_ONCE: usize = 16;

/// The table as it is now; `None` if there is none.
pub(super) async fn newest(
    deps: &BatchDeps,
    profile: &StreamProfile,
    kind: LakeTable,
) -> Result<Option<TableFiles>, BatchError> {
    let table = match deps.lake.open_table(&profile.name, kind, None).await {
        Ok(table) => table,
        Err(LakeError::NoSuchTable { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if let Some(column) = table.unknown_columns.first() {
        let reason = format!(
            "column `{column}` of table `{}` has a type that kilowatch cannot rewrite; erase the device with the program \
             that added the column",
            table.folder
        );
        return Err(LakeError::Refused { reason }.into());
    }
    Ok(Some(table))
}

/// The bucket of a file that is to be rewritten.
pub(super) fn bucket_of(file: &LakeFile) -> Result<NaiveDate, BatchError> {
    file.bucket.ok_or_else(|| {
        let reason = format!("data file `{}` names no bucket; another program wrote it", file.path);
        LakeError::Refused { reason }.into()
    })
}

/// Puts files in the place of others; false, and nothing changed, if one of those was rewritten meanwhile.
pub(super) async fn replace(
    deps: &BatchDeps,
    profile: &StreamProfile,
    kind: LakeTable,
    old: &[Arc<LakeFile>],
    new: &[WrittenFile],
) -> Result<bool, BatchError> {
    match deps.lake.replace_files(profile, kind, old, new, true).await? {
        CommitOutcome::Committed(version) => {
            tracing::debug!(lake.version = version, erase.files = old.len(), "rewrote data files");
            Ok(true)
        }
        CommitOutcome::Conflict => {
            deps.lake.discard(profile, kind, new).await;
            Ok(false)
        }
    }
}

/// Adds rows to a file in the making, in the table's own types, which the engine may have changed for its work.
pub(super) async fn add(
    mut file: FileEncoder,
    batch: RecordBatch,
    schema: &SchemaRef,
) -> Result<FileEncoder, BatchError> {
    let batch = as_stored(&batch, schema)?;
    // Encoding keeps a thread busy.
    let done = spawn_blocking(move || file.write(&batch).map(|()| file)).await;
    Ok(done.map_err(|error| BatchError::stopped("erase", &error))??)
}

/// Ends a file and stores it; nobody sees it before a commit names it.
pub(super) async fn store(
    deps: &BatchDeps,
    profile: &StreamProfile,
    kind: LakeTable,
    file: FileEncoder,
) -> Result<WrittenFile, BatchError> {
    let encoded =
        spawn_blocking(move || file.finish()).await.map_err(|error| BatchError::stopped("erase", &error))??;
    Ok(deps.lake.put_file(profile, kind, encoded).await?)
}

/// The error of a job whose files others kept rewriting.
pub(super) fn contended() -> BatchError {
    let reason = "other jobs rewrote the same data files each time".to_owned();
    BatchError::Contended { job: "erase", attempts: MAX_LOOKS, reason }
}
