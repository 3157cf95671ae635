//! The rows of data files on their way into another one, in the table's order and types, with bounded memory.

use std::sync::Arc;

use arrow::{compute::cast, datatypes::SchemaRef, record_batch::RecordBatch};
use chrono::NaiveDate;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use kilowatch_shared::lake::{
    LakeError, LakeTable,
    delta::{TableFiles, WrittenFile},
    files::FileEncoder,
    session::{LakeSession, SessionLimits, SessionTable, lake_session, stream_error},
};
use tokio::task::spawn_blocking;

use super::Rewriting;
use crate::BatchError;

/// Rows of dead letters that are decoded at once: each may be as large as a message may be, a megabyte and more.
const DEAD_LETTERS_AT_ONCE: usize = 64;

/// The order of the readings in a data file: readers are fastest if the rows of a device follow each other in time. The
/// position decides where times are equal.
const READINGS_ORDER: [&str; 5] = ["device_id", "event_time", "source", "source_partition", "source_offset"];

/// The order of the dead letters in a data file.
const DEAD_LETTERS_ORDER: [&str; 3] = ["source", "source_partition", "source_offset"];

/// A data file in the making, which takes the rows of others of its bucket. All columns of the table are kept, also those
/// that the stream's profile does not know any more.
pub(crate) struct FileCopy<'a> {
    rewriting: Rewriting<'a>,
    session: LakeSession,
    schema: SchemaRef,
    bucket: NaiveDate,
    /// Rows of the files, as far as the log tells.
    rows: Option<u64>,
    file: FileEncoder,
}

impl<'a> FileCopy<'a> {
    /// A file without rows yet, for those of `files`, which are all of one bucket.
    ///
    /// # Errors
    /// [`LakeError::Refused`] for what another program wrote and kilowatch cannot write.
    pub(crate) fn of(rewriting: Rewriting<'a>, files: &TableFiles) -> Result<Self, BatchError> {
        files.check_rewritable()?;
        let nameless = files.files.iter().find(|file| file.bucket.is_none());
        let bucket =
            files.files.first().and_then(|file| file.bucket).filter(|_| nameless.is_none()).ok_or_else(|| {
                let path = nameless.map(|file| file.path.to_string()).unwrap_or_default();
                LakeError::Refused { reason: format!("data file `{path}` names no bucket; another program wrote it") }
            })?;
        Ok(Self {
            session: rewriting.session(files)?,
            schema: Arc::clone(&files.schema),
            bucket,
            rows: files.files.iter().map(|file| file.stats.rows).sum(),
            file: FileEncoder::try_new(&files.schema, bucket)?,
            rewriting,
        })
    }

    /// The bucket of all its rows.
    pub(crate) const fn bucket(&self) -> NaiveDate {
        self.bucket
    }

    /// Adds all rows, each batch as `change` makes it.
    pub(crate) async fn add(
        self,
        change: impl FnMut(RecordBatch) -> Result<RecordBatch, BatchError>,
    ) -> Result<Self, BatchError> {
        let (table, order) = of_table(self.rewriting.kind);
        let rows = self.session.sorted(table, &names(&self.schema), order).await?;
        self.write(rows, change).await
    }

    /// Adds the rows whose text in a column is `text`, or (`holds` is false) is not.
    pub(crate) async fn add_where(
        self,
        (column, text, holds): (&str, &str, bool),
        change: impl FnMut(RecordBatch) -> Result<RecordBatch, BatchError>,
    ) -> Result<Self, BatchError> {
        let (table, order) = of_table(self.rewriting.kind);
        let rows = self.session.sorted_where(table, &names(&self.schema), order, (column, text, holds)).await?;
        self.write(rows, change).await
    }

    async fn write(
        self,
        mut rows: SendableRecordBatchStream,
        mut change: impl FnMut(RecordBatch) -> Result<RecordBatch, BatchError>,
    ) -> Result<Self, BatchError> {
        let mut file = self.file;
        while let Some(batch) = rows.try_next().await.map_err(|error| stream_error(&error))? {
            let batch = change(as_stored(&batch, &self.schema)?)?;
            file = self.rewriting.aside(move || file.write(&batch).map(|()| file)).await?;
        }
        Ok(Self { file, ..self })
    }

    /// Ends the file and stores it; nobody sees it before a commit names it.
    ///
    /// # Errors
    /// [`BatchError::Internal`] if not every row came out; the store's.
    pub(crate) async fn store(self) -> Result<WrittenFile, BatchError> {
        let (rewriting, file) = (self.rewriting, self.file);
        let encoded = rewriting.aside(move || file.finish()).await?;
        if self.rows.is_some() && encoded.stats.rows != self.rows {
            let reason = format!("{:?} rows were read and {:?} came out", self.rows, encoded.stats.rows);
            return Err(BatchError::Internal { job: rewriting.job, reason });
        }
        Ok(rewriting.deps.lake.put_file(rewriting.profile, rewriting.kind, encoded).await?)
    }
}

impl Rewriting<'_> {
    /// A session over data files of the table, under the table's own name.
    pub(crate) fn session(&self, files: &TableFiles) -> Result<LakeSession, BatchError> {
        let limits = match self.kind {
            LakeTable::Readings => SessionLimits::default(),
            LakeTable::DeadLetters => SessionLimits { batch_rows: DEAD_LETTERS_AT_ONCE, ..SessionLimits::default() },
        };
        let table = SessionTable { name: self.kind.folder_name(), files };
        Ok(lake_session(self.deps.lake.store(), &[table], &limits)?)
    }

    /// Speed may live in this process, and encoding keeps a thread busy.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
    ) -> Result<T, BatchError> {
        Ok(spawn_blocking(work).await.map_err(|error| BatchError::stopped(self.job, &error))??)
    }
}

/// The name of the table in a session, and the order of its rows.
const fn of_table(kind: LakeTable) -> (&'static str, &'static [&'static str]) {
    match kind {
        LakeTable::Readings => (kind.folder_name(), &READINGS_ORDER),
        LakeTable::DeadLetters => (kind.folder_name(), &DEAD_LETTERS_ORDER),
    }
}

fn names(schema: &SchemaRef) -> Vec<&str> {
    schema.fields().iter().map(|field| field.name().as_str()).collect()
}

/// The batch in the table's own types, which an engine may have changed for its work.
fn as_stored(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, BatchError> {
    let corrupt =
        |error: &dyn std::fmt::Display| LakeError::Corrupt { reason: format!("rows to be written anew: {error}") };
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type())).collect::<Result<_, _>>();
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.map_err(|e| corrupt(&e))?).map_err(|e| corrupt(&e))?)
}
