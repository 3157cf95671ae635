//! Queries that people write, over the tables of the lake: reading is all that they can do.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use datafusion::{
    catalog::MemorySchemaProvider,
    common::TableReference,
    dataframe::DataFrame,
    error::DataFusionError,
    execution::{
        SendableRecordBatchStream,
        context::{SQLOptions, SessionContext},
    },
    prelude::SessionConfig,
    sql::parser::Statement,
};
use tokio::time::Instant;

use super::{context_over, engine::Engine, provider::LakeTableProvider, query_error, rows::QueryRows};
use crate::lake::{LakeError, TableName, delta::TableFiles, store::LakeStore};

/// Longest query text. The planner and the engine walk an expression level by level, on the stack of their thread, and a
/// level takes two characters at least; so whoever runs queries of strangers needs threads with much of it.
pub const LONGEST_QUERY_BYTES: usize = 16 << 10;

/// Functions whose result may be far larger than what they are given: their memory is counted nowhere.
const UNBOUNDED_FUNCTIONS: [&str; 8] =
    ["repeat", "lpad", "rpad", "space", "array_repeat", "range", "generate_series", "array_resize"];

/// The schema in which SQL itself says which tables and columns there are.
const INFORMATION_SCHEMA: &str = "information_schema";

/// What a query may use. The settings are those of the section `lake.sql`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// From the plan to the last row: `lake.sql.max_secs`.
    pub time: Duration,
    /// Memory of all operators together, in bytes; what exceeds it spills to the temporary folder or fails:
    /// `lake.sql.max_memory_mb`.
    pub memory_bytes: usize,
    /// Rows of the answer: `lake.sql.max_rows`.
    pub rows: u64,
}

/// A parsed query, and the tables that it names.
#[derive(Debug)]
pub struct Query {
    statement: Statement,
    /// The tables of the lake that it reads.
    pub tables: Vec<TableName>,
    /// Whether it also asks which tables there are.
    pub asks_for_all: bool,
}

impl Query {
    /// Parses one statement of SQL.
    ///
    /// # Errors
    /// [`LakeError::Query`] with what the parser said, or with a table that no table of the lake can be called.
    pub fn parse(sql: &str) -> Result<Self, LakeError> {
        if sql.len() > LONGEST_QUERY_BYTES {
            let reason = format!("a query has at most {LONGEST_QUERY_BYTES} bytes, this one has {}", sql.len());
            return Err(LakeError::Query { reason });
        }
        let state = SessionContext::new().state();
        let dialect = state.config().options().sql_parser.dialect;
        let statement = state.sql_to_statement(sql, &dialect).map_err(|e| query_error(&e))?;
        let references = state.resolve_table_references(&statement).map_err(|e| query_error(&e))?;
        let mut query = Self { statement, tables: Vec::new(), asks_for_all: false };
        let mut named = BTreeSet::new();
        for reference in references {
            if reference.schema() == Some(INFORMATION_SCHEMA) {
                query.asks_for_all = true;
            } else {
                named.insert(name_of(&reference)?);
            }
        }
        query.asks_for_all |= matches!(&query.statement, Statement::Statement(text) if shows(&text.to_string()));
        query.tables = named.into_iter().collect();
        Ok(query)
    }
}

/// `SHOW TABLES` and `SHOW COLUMNS` name `information_schema` only once they are planned.
fn shows(statement: &str) -> bool {
    statement.starts_with("SHOW")
}

fn name_of(reference: &TableReference) -> Result<TableName, LakeError> {
    let Some(schema) = reference.schema() else {
        let table = reference.table();
        let reason = format!("table `{table}`: name it with its stream, as household.readings");
        return Err(LakeError::Query { reason });
    };
    format!("{schema}.{}", reference.table())
        .parse()
        .map_err(|error: crate::lake::InvalidTableName| LakeError::Query { reason: error.to_string() })
}

/// Queries over a fixed set of tables, each under its [`TableName`].
pub struct ReadOnlySession {
    context: SessionContext,
    limits: QueryLimits,
    engine: Arc<Engine>,
}

impl ReadOnlySession {
    /// A session over these tables, at the versions that they were opened at.
    ///
    /// # Errors
    /// [`LakeError::Query`] if a table cannot be registered, or there are no threads to be had.
    pub fn over(store: &LakeStore, tables: &[(TableName, TableFiles)], limits: QueryLimits) -> Result<Self, LakeError> {
        let context = context_over(store, limits.memory_bytes, SessionConfig::new().with_information_schema(true))?;
        for name in UNBOUNDED_FUNCTIONS {
            context.deregister_udf(name);
            context.deregister_udtf(name);
        }
        let internal = || LakeError::Query { reason: "the session has no catalog".to_owned() };
        let catalog = context.catalog(&context.state().config_options().catalog.default_catalog);
        let catalog = catalog.ok_or_else(internal)?;
        for (name, files) in tables {
            let schema = name.schema();
            if catalog.schema(&schema).is_none() {
                let empty = Arc::new(MemorySchemaProvider::new());
                catalog.register_schema(&schema, empty).map_err(|e| query_error(&e))?;
            }
            let reference = TableReference::partial(schema, name.table.folder_name());
            context.register_table(reference, Arc::new(LakeTableProvider::new(files))).map_err(|e| query_error(&e))?;
        }
        Ok(Self { context, limits, engine: Engine::start()? })
    }

    /// Begins a query; its rows are taken as they come.
    ///
    /// # Errors
    /// [`LakeError::NotReadOnly`], [`LakeError::Query`] with what the engine said, or [`LakeError::LimitReached`]; those
    /// of later rows come with the rows.
    pub async fn run(&self, query: Query) -> Result<QueryRows, LakeError> {
        let (state, limits) = (self.context.state(), self.limits);
        self.start(async move {
            let plan = state.statement_to_plan(query.statement).await.map_err(|e| query_error(&e))?;
            // Nothing is carried out before the whole plan, down to its last subquery, was seen to read only.
            SQLOptions::new()
                .with_allow_ddl(false)
                .with_allow_dml(false)
                .with_allow_statements(false)
                .verify_plan(&plan)
                .map_err(|error| LakeError::NotReadOnly { reason: error.strip_backtrace() })?;
            DataFrame::new(state, plan).execute_stream().await.map_err(|e| limited_error(&e, &limits))
        })
        .await
    }

    /// Begins to read some rows of a table, in the order in which they are stored.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn head(&self, table: &TableName, rows: usize) -> Result<QueryRows, LakeError> {
        let reference = TableReference::partial(table.schema(), table.table.folder_name());
        let frame = self.context.table(reference).await.map_err(|e| query_error(&e))?;
        let (frame, limits) = (frame.limit(0, Some(rows)).map_err(|e| query_error(&e))?, self.limits);
        self.start(async move { frame.execute_stream().await.map_err(|e| limited_error(&e, &limits)) }).await
    }

    /// Plans and runs on the engine's threads, which need not give themselves back before the limit.
    async fn start(
        &self,
        planning: impl Future<Output = Result<SendableRecordBatchStream, LakeError>> + Send + 'static,
    ) -> Result<QueryRows, LakeError> {
        let until = Instant::now() + self.limits.time;
        match tokio::time::timeout_at(until, self.engine.stream(planning)).await {
            Ok(rows) => Ok(QueryRows::new(rows?, until, self.limits)),
            Err(_) => Err(took_too_long(&self.limits)),
        }
    }
}

impl std::fmt::Debug for ReadOnlySession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadOnlySession").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The error of a query that was stopped at its limit of time.
#[must_use]
pub fn took_too_long(limits: &QueryLimits) -> LakeError {
    LakeError::LimitReached {
        need: format!("took longer than {} s", limits.time.as_secs_f64()),
        setting: "lake.sql.max_secs",
    }
}

/// The error of an answer that is longer than it may be.
#[must_use]
pub fn too_many_rows(limits: &QueryLimits) -> LakeError {
    LakeError::LimitReached { need: format!("gives more than {} rows", limits.rows), setting: "lake.sql.max_rows" }
}

/// The error of a query that needs more memory than it may use.
#[must_use]
pub fn too_much_memory(limits: &QueryLimits) -> LakeError {
    LakeError::LimitReached {
        need: format!("needs more than {} MB of memory", limits.memory_bytes >> 20),
        setting: "lake.sql.max_memory_mb",
    }
}

/// What an error of the engine means where memory is limited.
pub(super) fn limited_error(error: &DataFusionError, limits: &QueryLimits) -> LakeError {
    match query_error(error) {
        LakeError::OutOfMemory { .. } => too_much_memory(limits),
        other => other,
    }
}
