//! Rows of a query on their way out, within its limits.

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{error::DataFusionError, execution::SendableRecordBatchStream};
use futures::StreamExt;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use super::{
    super::LakeError,
    read_only::{QueryLimits, limited_error, took_too_long},
};

/// Batches between the engine and whoever writes them: both work at once, and memory stays at a few of them.
const BATCHES_AHEAD: usize = 2;

/// The rows of a query. Dropped, it ends the query.
#[derive(Debug)]
pub struct QueryRows {
    schema: SchemaRef,
    batches: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
    until: Instant,
    limits: QueryLimits,
    taken: u64,
    /// Whether a batch had to be cut.
    cut: bool,
    /// `None` once it has ended.
    engine: Option<AbortOnDropHandle<()>>,
}

impl QueryRows {
    pub(super) fn new(mut rows: SendableRecordBatchStream, until: Instant, limits: QueryLimits) -> Self {
        let schema = rows.schema();
        let (send, batches) = mpsc::channel(BATCHES_AHEAD);
        // On a task of its own, because an operator may keep its thread for longer than the limit.
        let engine = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Some(batch) = rows.next().await {
                if send.send(batch).await.is_err() {
                    return;
                }
            }
        }));
        Self { schema, batches, until, limits, taken: 0, cut: false, engine: Some(engine) }
    }

    /// The columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// How many rows were taken so far.
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// The next rows; `None` after the last ones. A batch that would exceed the limit of rows is cut there, and the
    /// next call says so.
    ///
    /// # Errors
    /// [`LakeError::LimitReached`], or [`LakeError::Query`] with what the engine said.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, LakeError> {
        let too_many = || LakeError::LimitReached {
            need: format!("gives more than {} rows", self.limits.rows),
            setting: "lake.sql.max_rows",
        };
        if self.cut {
            return Err(too_many());
        }
        loop {
            let next = tokio::time::timeout_at(self.until, self.batches.recv()).await;
            let Some(batch) = next.map_err(|_| took_too_long(&self.limits))? else { return self.end().await };
            let batch = batch.map_err(|error| limited_error(&error, &self.limits))?;
            if batch.num_rows() == 0 {
                continue;
            }
            let left = usize::try_from(self.limits.rows - self.taken).unwrap_or(usize::MAX);
            if left == 0 {
                return Err(too_many());
            }
            self.cut = left < batch.num_rows();
            let kept = left.min(batch.num_rows());
            self.taken += kept as u64;
            return Ok(Some(batch.slice(0, kept)));
        }
    }

    /// No more batches: all rows were given, or the engine broke.
    async fn end(&mut self) -> Result<Option<RecordBatch>, LakeError> {
        let Some(engine) = self.engine.take() else { return Ok(None) };
        engine.await.map_err(|stopped| LakeError::Query { reason: stopped.to_string() })?;
        Ok(None)
    }
}
