//! Threads for queries alone.
//!
//! An operator of the engine may compute for minutes without giving its thread back; a runtime whose threads all do so
//! runs no timer and hears no signal. So queries of people have threads of their own, and whoever waits for their rows,
//! for a deadline or for a signal waits elsewhere. Threads that still compute when the engine is dropped are left behind,
//! until they give up their work or the process ends.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream, physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{StreamExt, stream};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
};
use tokio_util::task::AbortOnDropHandle;

use crate::lake::LakeError;

/// Stack of the threads that plan and run what people write. The engine walks an expression level by level, and a query
/// of the longest text ([`super::Query`]) can have thousands of levels; only pages that are used take memory.
pub const DEEP_STACK_BYTES: usize = 512 << 20;

/// Batches between the engine and whoever takes them: both work at once, and memory stays at a few of them.
const BATCHES_AHEAD: usize = 2;

/// Threads on which queries run. Dropped, it begins no new work and waits for none.
#[derive(Debug)]
pub struct Engine {
    /// `None` once it is dropped.
    runtime: Option<Runtime>,
}

impl Engine {
    /// Starts a thread a core.
    ///
    /// # Errors
    /// [`LakeError::Query`] if the system gives no file handles to wait with. Where it gives no thread, the runtime panics.
    pub fn start() -> Result<Arc<Self>, LakeError> {
        let runtime = Builder::new_multi_thread()
            .thread_name("lake-engine")
            .thread_stack_size(DEEP_STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|error| LakeError::Query { reason: format!("no file handles for the engine: {error}") })?;
        Ok(Arc::new(Self { runtime: Some(runtime) }))
    }

    /// Begins a query and hands its rows over; both happen on the engine's threads.
    pub(super) async fn stream(
        self: &Arc<Self>,
        begin: impl Future<Output = Result<SendableRecordBatchStream, LakeError>> + Send + 'static,
    ) -> Result<SendableRecordBatchStream, LakeError> {
        let stopped = |error: &dyn std::fmt::Display| LakeError::Query { reason: format!("the engine broke: {error}") };
        let mut rows = self.spawn(begin)?.await.map_err(|error| stopped(&error))??;
        let schema = rows.schema();
        let (send, batches) = mpsc::channel(BATCHES_AHEAD);
        let work = self.spawn(async move {
            while let Some(batch) = rows.next().await {
                if send.send(batch).await.is_err() {
                    return;
                }
            }
        })?;
        let handed = HandedRows { batches, work: Some(work), _engine: Arc::clone(self) };
        let handed = stream::unfold(handed, |mut handed| async move { Some((handed.next().await?, handed)) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, handed)))
    }

    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<AbortOnDropHandle<T>, LakeError> {
        let runtime =
            self.runtime.as_ref().ok_or_else(|| LakeError::Query { reason: "the engine ended".to_owned() })?;
        Ok(AbortOnDropHandle::new(runtime.spawn(work)))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Rows on their way out of the engine.
struct HandedRows {
    batches: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
    /// `None` once it has ended.
    work: Option<AbortOnDropHandle<()>>,
    /// Its threads stay as long as rows come from them.
    _engine: Arc<Engine>,
}

impl HandedRows {
    async fn next(&mut self) -> Option<Result<RecordBatch, DataFusionError>> {
        if let Some(batch) = self.batches.recv().await {
            return Some(batch);
        }
        // No more batches: all rows were given, or the engine broke.
        let broken = self.work.take()?.await.err()?;
        Some(Err(DataFusionError::Execution(format!("the engine broke: {broken}"))))
    }
}
