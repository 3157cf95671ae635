//! Writes the rows of data files as one file, in the table's order, with bounded memory.

use std::sync::Arc;

use arrow::{compute::cast, datatypes::SchemaRef, record_batch::RecordBatch};
use futures::TryStreamExt;
use kilowatch_shared::{
    lake::{
        LakeError, LakeTable,
        delta::{TableFiles, WrittenFile},
        files::FileEncoder,
        session::{SessionLimits, SessionTable, lake_session, stream_error},
    },
    stream::StreamProfile,
};
use tokio::task::spawn_blocking;

use super::Merge;
use crate::{BatchDeps, BatchError};

/// Rows of dead letters that are decoded at once: each may be as large as a message may be, a megabyte and more.
const DEAD_LETTERS_AT_ONCE: usize = 64;

/// The order of the readings in a data file: readers are fastest if the rows of a device follow each other in time. The
/// position decides where times are equal.
pub(crate) const READINGS_ORDER: [&str; 5] = ["device_id", "event_time", "source", "source_partition", "source_offset"];

/// Stores one file with the rows of `merge`; nobody sees it before a commit names it. All columns of the table are kept,
/// also those that the stream's profile does not know any more.
///
/// # Errors
/// [`BatchError::Lake`]; [`BatchError::Internal`] if not every row came out.
pub(crate) async fn merge(
    deps: &BatchDeps,
    profile: &StreamProfile,
    (kind, table): (LakeTable, &TableFiles),
    merge: &Merge,
) -> Result<WrittenFile, BatchError> {
    let (limits, order) = match kind {
        LakeTable::Readings => (SessionLimits::default(), READINGS_ORDER.as_slice()),
        LakeTable::DeadLetters => (
            SessionLimits { batch_rows: DEAD_LETTERS_AT_ONCE, ..SessionLimits::default() },
            ["source", "source_partition", "source_offset"].as_slice(),
        ),
    };
    let files = table.of_files(merge.files.clone());
    let session = lake_session(deps.lake.store(), &[SessionTable { name: "small", files: &files }], &limits)?;
    let schema = Arc::clone(&table.schema);
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut rows = session.sorted("small", &columns, order).await?;
    let mut file = FileEncoder::try_new(&schema, merge.bucket)?;
    while let Some(batch) = rows.try_next().await.map_err(|error| stream_error(&error))? {
        let batch = as_stored(&batch, &schema)?;
        // Speed may live in this process, and encoding keeps a thread busy.
        file = aside(move || file.write(&batch).map(|()| file)).await?;
    }
    let encoded = aside(move || file.finish()).await?;
    if merge.rows().is_some_and(|rows| encoded.stats.rows != Some(rows)) {
        return Err(BatchError::Internal {
            job: "compact",
            reason: format!("{:?} rows were read and {:?} came out", merge.rows(), encoded.stats.rows),
        });
    }
    Ok(deps.lake.put_file(profile, kind, encoded).await?)
}

/// The batch in the table's own types, which an engine may have changed for its work.
pub(crate) fn as_stored(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, BatchError> {
    let corrupt =
        |error: &dyn std::fmt::Display| LakeError::Corrupt { reason: format!("rows to be written anew: {error}") };
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type())).collect::<Result<_, _>>();
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.map_err(|e| corrupt(&e))?).map_err(|e| corrupt(&e))?)
}

async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
) -> Result<T, BatchError> {
    let done = spawn_blocking(work).await;
    let done = done.map_err(|error| BatchError::Internal { job: "compact", reason: error.to_string() })?;
    Ok(done?)
}
