//! Rows of a query on their way out, within its limits.

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::time::Instant;

use super::{
    super::LakeError,
    read_only::{QueryLimits, limited_error, too_many_rows, took_too_long},
};

/// The rows of a query. Dropped, it ends the query.
pub struct QueryRows {
    rows: SendableRecordBatchStream,
    until: Instant,
    limits: QueryLimits,
    taken: u64,
    /// Whether a batch had to be cut.
    cut: bool,
}

impl QueryRows {
    /// Rows that the engine's own threads hand over, so that waiting for them can end.
    pub(super) const fn new(rows: SendableRecordBatchStream, until: Instant, limits: QueryLimits) -> Self {
        Self { rows, until, limits, taken: 0, cut: false }
    }

    /// The columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.rows.schema()
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
        if self.cut {
            return Err(too_many_rows(&self.limits));
        }
        loop {
            let next = tokio::time::timeout_at(self.until, self.rows.next()).await;
            let Some(batch) = next.map_err(|_| took_too_long(&self.limits))? else { return Ok(None) };
            let batch = batch.map_err(|error| limited_error(&error, &self.limits))?;
            if batch.num_rows() == 0 {
                continue;
            }
            let left = usize::try_from(self.limits.rows - self.taken).unwrap_or(usize::MAX);
            if left == 0 {
                return Err(too_many_rows(&self.limits));
            }
            self.cut = left < batch.num_rows();
            let kept = left.min(batch.num_rows());
            self.taken += kept as u64;
            return Ok(Some(batch.slice(0, kept)));
        }
    }
}

impl std::fmt::Debug for QueryRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryRows").field("limits", &self.limits).field("taken", &self.taken).finish_non_exhaustive()
    }
}
