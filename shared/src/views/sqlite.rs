//! The embedded views: one SQLite file, or memory for tests.
//!
//! WAL with `synchronous=FULL`: a commit survives power loss, and readers never wait for the writer. One connection
//! writes, so the tasks of a process queue in turn; another process that writes to the file at the same moment is
//! waited for, and after that reported as [`ViewsError::Unavailable`].

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Sqlite, SqlitePool, Transaction,
    migrate::Migrator,
    query::Query,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    ViewsError, migrations,
    sql::{Bulk, Database, Row, Session, SqlViews, Statement, Value, instant},
    translate::{from_migration, translate},
};
use crate::{clock::SystemClock, retry::Backoff};

/// Longer than any transaction of another process but that which publishes all windows of hundreds of meters, for which
/// the views belong into PostgreSQL.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages and API calls that read at once; more of them wait for a moment.
const READERS: u32 = 4;

/// Rows of one statement at most. Below that a list is cut into powers of two, so that a connection knows nine texts of
/// a statement and not one for each length.
const BULK_ROWS: usize = 256;

/// Nine texts for each of a dozen bulk statements, and the others.
const STATEMENTS: usize = 200;

/// The views in SQLite.
pub type SqliteViews = SqlViews<SqliteDatabase>;

impl SqliteViews {
    /// Opens the file, makes it if it is not there, and brings its schema to what this build knows. The folder must be
    /// there.
    ///
    /// # Errors
    /// [`ViewsError::Refused`] if it cannot be opened or written, [`ViewsError::Schema`] or [`ViewsError::Corrupt`] if
    /// it is not such a file, [`ViewsError::Unavailable`] if another process holds it for too long.
    pub async fn open(path: &Path) -> Result<Self, ViewsError> {
        let options = options().filename(path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
        let database = SqliteDatabase {
            writer: file_pool(1).connect_lazy_with(options.clone()),
            readers: file_pool(READERS).connect_lazy_with(options.pragma("query_only", "ON")),
        };
        // Two processes that open a new file at once both want to switch it to WAL.
        Backoff::standard().run(|| database.migrate(), ViewsError::retry_hint).await?;
        Ok(Self { database, clock: Arc::new(SystemClock) })
    }

    /// Opens views that live in memory and are gone when dropped; the twin for tests.
    ///
    /// # Errors
    /// As [`SqliteViews::open`].
    pub async fn in_memory() -> Result<Self, ViewsError> {
        // A database in memory belongs to its one connection, which must therefore never be replaced.
        let only = pool(1).connect_lazy_with(options().in_memory(true));
        let database = SqliteDatabase { writer: only.clone(), readers: only };
        database.migrate().await?;
        Ok(Self { database, clock: Arc::new(SystemClock) })
    }
}

/// The connections to one file.
#[derive(Debug)]
pub struct SqliteDatabase {
    writer: SqlitePool,
    readers: SqlitePool,
}

#[async_trait]
impl Database for SqliteDatabase {
    async fn write(&self) -> Result<Box<dyn Session>, ViewsError> {
        // A deferred BEGIN fails at once when it turns from reading to writing after another process wrote.
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(translate)?;
        Ok(Box::new(SqliteSession(transaction)))
    }

    async fn snapshot(&self) -> Result<Box<dyn Session>, ViewsError> {
        let transaction = self.readers.begin().await.map_err(translate)?;
        Ok(Box::new(SqliteSession(transaction)))
    }

    async fn fetch(&self, statement: Statement) -> Result<Vec<Row>, ViewsError> {
        let rows = query(statement)?.fetch_all(&self.readers).await.map_err(translate)?;
        Ok(rows.into_iter().map(Row::Sqlite).collect())
    }

    async fn migrate(&self) -> Result<(), ViewsError> {
        let migrator: Migrator = migrations::sqlite();
        // The driver's migrator takes no lock on SQLite; this transaction is one.
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(translate)?;
        // `run` is this after `acquire`, whose lifetimes a boxed future cannot express.
        migrator.run_direct(None, &mut *transaction, false).await.map_err(from_migration)?;
        transaction.commit().await.map_err(translate)
    }

    async fn overwrite_deleted(&self) -> Result<(), ViewsError> {
        // Deleted rows stay in free pages until these are used again, and in the write-ahead log until it is.
        for text in ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"] {
            sqlx::query(text).execute(&self.writer).await.map_err(translate)?;
        }
        Ok(())
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

struct SqliteSession(Transaction<'static, Sqlite>);

#[async_trait]
impl Session for SqliteSession {
    async fn execute(&mut self, statement: Statement) -> Result<u64, ViewsError> {
        Ok(query(statement)?.execute(&mut *self.0).await.map_err(translate)?.rows_affected())
    }

    async fn fetch(&mut self, statement: Statement) -> Result<Vec<Row>, ViewsError> {
        let rows = query(statement)?.fetch_all(&mut *self.0).await.map_err(translate)?;
        Ok(rows.into_iter().map(Row::Sqlite).collect())
    }

    async fn bulk(&mut self, bulk: Bulk) -> Result<u64, ViewsError> {
        let Bulk { before, after, common, mut rows, .. } = bulk;
        let mut changed = 0;
        while !rows.is_empty() {
            let rest = rows.split_off(chunk_len(rows.len()));
            let text = format!("{before}{}{after}", values_list(rows.len(), common.len() + rows[0].len()));
            let mut query = sqlx::query(AssertSqlSafe(text));
            for row in rows {
                for value in common.iter().cloned().chain(row) {
                    query = bind(query, value)?;
                }
            }
            changed += query.execute(&mut *self.0).await.map_err(translate)?.rows_affected();
            rows = rest;
        }
        Ok(changed)
    }

    async fn drop_indexes(&mut self, table: &'static str) -> Result<Vec<String>, ViewsError> {
        // That of a primary key has no text.
        let found: Vec<(String, String)> = sqlx::query_as(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL",
        )
        .bind(table)
        .fetch_all(&mut *self.0)
        .await
        .map_err(translate)?;
        let mut definitions = Vec::with_capacity(found.len());
        for (name, definition) in found {
            let text = format!("DROP INDEX {name}");
            sqlx::query(AssertSqlSafe(text)).execute(&mut *self.0).await.map_err(translate)?;
            definitions.push(definition);
        }
        Ok(definitions)
    }

    async fn build_indexes(&mut self, definitions: Vec<String>) -> Result<(), ViewsError> {
        for definition in definitions {
            sqlx::query(AssertSqlSafe(definition)).execute(&mut *self.0).await.map_err(translate)?;
        }
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), ViewsError> {
        self.0.commit().await.map_err(translate)
    }
}

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging()
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(BUSY_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// A full disk makes SQLite roll a transaction back by itself. The driver does not notice, and refuses every later one on
/// that connection, which is therefore replaced. The ping lets a roll-back that is on its way arrive first.
fn file_pool(connections: u32) -> SqlitePoolOptions {
    pool(connections).before_acquire(|connection, _| {
        Box::pin(async move {
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

type SqliteQuery = Query<'static, Sqlite, SqliteArguments>;

fn query(statement: Statement) -> Result<SqliteQuery, ViewsError> {
    let (text, values) = statement.into_parts();
    values.into_iter().try_fold(sqlx::query(AssertSqlSafe(text)), bind)
}

fn bind(query: SqliteQuery, value: Value) -> Result<SqliteQuery, ViewsError> {
    Ok(match value {
        Value::Text(value) => query.bind(value),
        Value::Int(value) => query.bind(value),
        Value::Real(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
        Value::Time(None) => query.bind(None::<String>),
        Value::Time(Some(time)) => query.bind(instant::format(time).ok_or_else(|| ViewsError::Refused {
            reason: format!("the instant {time} is outside of the years 0 to 9999"),
        })?),
    })
}

/// `VALUES (?, ?), (?, ?)`. What the rows have in common is bound for each of them, since a number or a name would cost more:
/// the driver asks for the name of every parameter, and SQLite looks each one up in a list of all. With 256 rows that was
/// three quarters of a publication.
fn values_list(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    format!("VALUES {}", vec![row.as_str(); rows].join(", "))
}

/// The greatest power of two that is not above the number of rows, nor above [`BULK_ROWS`].
fn chunk_len(rows: usize) -> usize {
    1 << rows.clamp(1, BULK_ROWS).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_neither_name_nor_number() {
        assert_eq!(values_list(2, 3), "VALUES (?, ?, ?), (?, ?, ?)");
        assert_eq!(values_list(1, 1), "VALUES (?)");
    }

    #[test]
    fn a_list_is_cut_into_powers_of_two() {
        let mut left = 601;
        let mut chunks = Vec::new();
        while left > 0 {
            chunks.push(chunk_len(left));
            left -= chunk_len(left);
        }
        assert_eq!(chunks, [256, 256, 64, 16, 8, 1]);
    }
}
