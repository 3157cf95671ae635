//! SQL over the lake: the one module that builds DataFusion sessions. It knows tables and limits, no energy words.
//!
//! A [`LakeSession`] sees exactly the data files that it was given, at the versions that they were listed at; nothing is
//! listed or guessed, and an older file that lacks a column reads as null there. A [`ReadOnlySession`] takes queries of
//! people: nothing that writes, and no more time, memory and rows than [`QueryLimits`] say. What people wait for runs on
//! the threads of an [`Engine`].

mod engine;
mod provider;
mod ranges;
mod read_only;
mod rows;

use std::{sync::Arc, time::Duration};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    datasource::MemTable,
    error::DataFusionError,
    execution::{SendableRecordBatchStream, memory_pool::FairSpillPool, runtime_env::RuntimeEnvBuilder},
    logical_expr::{AggregateUDF, ident, lit},
    prelude::{DataFrame, SessionConfig, SessionContext},
};

use tokio_util::task::AbortOnDropHandle;

pub use engine::{DEEP_STACK_BYTES, Engine};
pub use read_only::{
    LONGEST_QUERY_BYTES, Query, QueryLimits, ReadOnlySession, too_many_rows, too_much_memory, took_too_long,
};
pub use rows::QueryRows;

use provider::{LakeTableProvider, store_url};

use super::{LakeError, delta::TableFiles, store::LakeStore};

/// What a query may use.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Memory of all operators together, in bytes; what exceeds it spills to the temporary folder or fails.
    pub memory_bytes: usize,
    /// Threads' worth of work at once.
    pub target_partitions: usize,
    /// Rows of a batch.
    pub batch_rows: usize,
    /// How long [`LakeSession::collect`] waits for the last row.
    pub time: Duration,
}

impl Default for SessionLimits {
    /// 128 MiB, one partition a core, 8192 rows, ten minutes: enough for years of minutes, and half of what the whole
    /// process may use.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { memory_bytes: 128 << 20, target_partitions: cores, batch_rows: 8192, time: Duration::from_secs(600) }
    }
}

/// A table under the name that queries use.
#[derive(Debug, Clone, Copy)]
pub struct SessionTable<'a> {
    /// The name in SQL.
    pub name: &'a str,
    /// Its data files.
    pub files: &'a TableFiles,
}

/// Queries over a fixed set of tables.
pub struct LakeSession {
    context: SessionContext,
    limits: SessionLimits,
    /// The threads that [`Self::stream`] runs on; the caller's without it.
    engine: Option<Arc<Engine>>,
}

/// A session over tables of one lake.
///
/// # Errors
/// [`LakeError::Query`] if a table cannot be registered.
pub fn lake_session(
    store: &LakeStore,
    tables: &[SessionTable<'_>],
    limits: &SessionLimits,
) -> Result<LakeSession, LakeError> {
    let config = SessionConfig::new()
        .with_target_partitions(limits.target_partitions.max(1))
        .with_batch_size(limits.batch_rows.max(1))
        .with_information_schema(false);
    let context = context_over(store, limits.memory_bytes, config)?;
    let session = LakeSession { context, limits: *limits, engine: None };
    for table in tables {
        let provider = Arc::new(LakeTableProvider::new(table.files));
        session.context.register_table(table.name, provider).map_err(|e| query_error(&e))?;
    }
    Ok(session)
}

/// A context that reads from the lake's store and has so much memory for all operators together.
fn context_over(store: &LakeStore, memory_bytes: usize, config: SessionConfig) -> Result<SessionContext, LakeError> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(memory_bytes)))
        .build_arc()
        .map_err(|e| query_error(&e))?;
    let url = store_url().map_err(|e| query_error(&e))?;
    runtime.register_object_store(url.as_ref(), store.objects().clone());
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

impl LakeSession {
    /// Runs [`Self::stream`] on these threads.
    #[must_use]
    pub fn on(mut self, engine: Option<Arc<Engine>>) -> Self {
        self.engine = engine;
        self
    }

    /// Adds rows in memory as a further table.
    ///
    /// # Errors
    /// [`LakeError::Query`] if the rows are not of `schema` or the name is taken.
    pub fn register_batches(&self, name: &str, schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<(), LakeError> {
        let table = MemTable::try_new(schema, vec![batches]).map_err(|e| query_error(&e))?;
        self.context.register_table(name, Arc::new(table)).map_err(|e| query_error(&e))?;
        Ok(())
    }

    /// Adds an aggregate function of the caller's, under its own name.
    pub fn register_aggregate(&self, aggregate: AggregateUDF) {
        self.context.register_udaf(aggregate);
    }

    /// Runs a query and keeps all its rows.
    ///
    /// # Errors
    /// [`LakeError::Query`] with what the engine said, or that the time was up.
    pub async fn collect(&self, sql: &str) -> Result<Vec<RecordBatch>, LakeError> {
        let plan = self.context.sql(sql).await.map_err(|e| query_error(&e))?;
        // On a task of its own, because an operator may keep its thread for longer than the limit.
        let rows = AbortOnDropHandle::new(tokio::spawn(plan.collect()));
        match tokio::time::timeout(self.limits.time, rows).await {
            Ok(Ok(rows)) => rows.map_err(|e| query_error(&e)),
            Ok(Err(stopped)) => Err(LakeError::Query { reason: stopped.to_string() }),
            Err(_) => Err(LakeError::Query { reason: format!("it took longer than {:?}", self.limits.time) }),
        }
    }

    /// Runs a query whose rows are taken as they come; the caller bounds the time.
    ///
    /// # Errors
    /// [`LakeError::Query`] or [`LakeError::OutOfMemory`]; errors of later rows come in the stream, and [`stream_error`] says what they mean.
    pub async fn stream(&self, sql: &str) -> Result<SendableRecordBatchStream, LakeError> {
        let (context, query) = (self.context.clone(), sql.to_owned());
        let begin = async move {
            let plan = context.sql(&query).await.map_err(|e| query_error(&e))?;
            plan.execute_stream().await.map_err(|e| query_error(&e))
        };
        match &self.engine {
            None => begin.await,
            Some(engine) => engine.stream(begin).await,
        }
    }
}

impl LakeSession {
    /// The named columns of a table, its rows in the order of some of them and nulls last, taken as they come. What does
    /// not fit into memory is sorted on disk.
    ///
    /// # Errors
    /// As of [`Self::stream`].
    pub async fn sorted(
        &self,
        table: &str,
        columns: &[&str],
        by: &[&str],
    ) -> Result<SendableRecordBatchStream, LakeError> {
        let rows = self.context.table(table).await.map_err(|e| query_error(&e))?;
        self.in_order(rows, columns, by).await
    }

    /// The same of the rows whose text in a column is `text`, or (`holds` is false) is not.
    ///
    /// # Errors
    /// As of [`Self::stream`].
    pub async fn sorted_where(
        &self,
        table: &str,
        columns: &[&str],
        by: &[&str],
        (column, text, holds): (&str, &str, bool),
    ) -> Result<SendableRecordBatchStream, LakeError> {
        let rows = self.context.table(table).await.map_err(|e| query_error(&e))?;
        let found = if holds { ident(column).eq(lit(text)) } else { ident(column).not_eq(lit(text)) };
        self.in_order(rows.filter(found).map_err(|e| query_error(&e))?, columns, by).await
    }

    /// How many rows of a table have this text in a column.
    ///
    /// # Errors
    /// As of [`Self::stream`].
    pub async fn count_where(&self, table: &str, column: &str, text: &str) -> Result<u64, LakeError> {
        let rows = self.context.table(table).await.map_err(|e| query_error(&e))?;
        let rows = rows.filter(ident(column).eq(lit(text))).map_err(|e| query_error(&e))?;
        rows.count().await.map(|rows| rows as u64).map_err(|e| query_error(&e))
    }

    async fn in_order(
        &self,
        rows: DataFrame,
        columns: &[&str],
        by: &[&str],
    ) -> Result<SendableRecordBatchStream, LakeError> {
        let rows = rows.select(columns.iter().map(|column| ident(*column))).map_err(|e| query_error(&e))?;
        let order = by.iter().map(|column| ident(*column).sort(true, false)).collect();
        let rows = rows.sort(order).map_err(|e| query_error(&e))?;
        rows.execute_stream().await.map_err(|e| query_error(&e))
    }
}

impl std::fmt::Debug for LakeSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LakeSession").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// What an error in the stream of a query means.
#[must_use]
pub fn stream_error(error: &DataFusionError) -> LakeError {
    query_error(error)
}

fn query_error(error: &DataFusionError) -> LakeError {
    let reason = error.strip_backtrace();
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => LakeError::OutOfMemory { reason },
        _ => LakeError::Query { reason },
    }
}
