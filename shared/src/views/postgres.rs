//! The views of production: Postgres.
//!
//! Sessions give up after five seconds of waiting for a lock, and the server ends a transaction that idles as long, so
//! that a paused owner cannot hold a partition.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{
    AssertSqlSafe, ConnectOptions, PgPool, Postgres, Transaction,
    postgres::{PgArguments, PgConnectOptions, PgPoolOptions},
    query::Query,
};

use super::{
    ViewsError, migrations,
    sql::{Bulk, Database, Row, Session, SqlViews, Statement, Value},
    translate::{from_migration, translate},
};
use crate::clock::SystemClock;

/// For `lock_timeout` and `idle_in_transaction_session_timeout`.
const SESSION_TIMEOUT: &str = "5s";

/// Enough for the partitions of a member or the requests of a replica; a server takes 100 by default.
const CONNECTIONS: u32 = 10;

/// How long a call waits for a connection before it says that the views are away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Rows of one statement at most: about a megabyte of arrays.
const BULK_ROWS: usize = 8192;

/// The views in Postgres.
pub type PostgresViews = SqlViews<PostgresDatabase>;

impl PostgresViews {
    /// Connects to `postgres://user:password@host:port/database?sslmode=...` and brings the schema to what this build
    /// knows.
    ///
    /// # Errors
    /// [`ViewsError::BadUrl`], [`ViewsError::Unavailable`] if nobody answers, [`ViewsError::Refused`] if the server
    /// says no, [`ViewsError::Schema`] if the schema is of another build.
    pub async fn connect(url: &str) -> Result<Self, ViewsError> {
        let options: PgConnectOptions = url.parse().map_err(|_| ViewsError::BadUrl {
            reason: "write postgres://user:password@host:port/database?sslmode=verify-full".to_owned(),
        })?;
        let options = options
            .application_name("kilowatch")
            .options([("lock_timeout", SESSION_TIMEOUT), ("idle_in_transaction_session_timeout", SESSION_TIMEOUT)])
            .disable_statement_logging();
        let place = place_of(&options);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
        let pool = pool.connect_with(options).await.map_err(|error| unreached(&place, error))?;
        let database = PostgresDatabase { pool, place };
        database.migrate().await?;
        Ok(Self { database, clock: Arc::new(SystemClock) })
    }
}

/// The connections to one database.
#[derive(Debug)]
pub struct PostgresDatabase {
    pool: PgPool,
    /// Which one it is, for errors.
    place: String,
}

#[async_trait]
impl Database for PostgresDatabase {
    async fn write(&self) -> Result<Box<dyn Session>, ViewsError> {
        let begin = self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED");
        Ok(Box::new(PostgresSession(begin.await.map_err(|error| unreached(&self.place, error))?)))
    }

    async fn snapshot(&self) -> Result<Box<dyn Session>, ViewsError> {
        let begin = self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY");
        Ok(Box::new(PostgresSession(begin.await.map_err(|error| unreached(&self.place, error))?)))
    }

    async fn fetch(&self, statement: Statement) -> Result<Vec<Row>, ViewsError> {
        let rows = query(statement).fetch_all(&self.pool).await;
        let rows = rows.map_err(|error| unreached(&self.place, error))?;
        Ok(rows.into_iter().map(Row::Postgres).collect())
    }

    async fn migrate(&self) -> Result<(), ViewsError> {
        let migrator = migrations::postgres();
        let mut connection = self.pool.acquire().await.map_err(|error| unreached(&self.place, error))?;
        // `run` is this after `acquire`, whose lifetimes a boxed future cannot express.
        let outcome = migrator.run_direct(None, &mut *connection, false).await.map_err(from_migration);
        if outcome.is_err() {
            // The migrator's advisory lock is the session's, and an error leaves it held.
            connection.close().await.map_err(translate)?;
        }
        outcome
    }

    async fn overwrite_deleted(&self) -> Result<(), ViewsError> {
        // Its vacuum and its archives are those of whoever keeps the server.
        Ok(())
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

/// Names the database, and never its password: `database kilowatch at db.example.net:5432`.
fn place_of(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(socket) => format!("database {database} at {}", socket.display()),
        None => format!("database {database} at {}:{}", options.get_host(), options.get_port()),
    }
}

/// The meaning of an error on the way to a session. The driver says of a server that nobody answers for that its own pool
/// timed out.
fn unreached(place: &str, error: sqlx::Error) -> ViewsError {
    let timed_out = matches!(error, sqlx::Error::PoolTimedOut);
    match translate(error) {
        ViewsError::Unavailable { .. } if timed_out => ViewsError::Unavailable {
            reason: format!(
                "{place} gives no connection within {} s: check that the server runs and takes more of them, and that \
                 views.url (KILOWATCH_VIEWS__URL) names it",
                ACQUIRE_TIMEOUT.as_secs(),
            ),
        },
        ViewsError::Unavailable { reason } => ViewsError::Unavailable { reason: format!("{place}: {reason}") },
        ViewsError::Refused { reason } => ViewsError::Refused { reason: format!("{place}: {reason}") },
        other => other,
    }
}

struct PostgresSession(Transaction<'static, Postgres>);

#[async_trait]
impl Session for PostgresSession {
    async fn execute(&mut self, statement: Statement) -> Result<u64, ViewsError> {
        Ok(query(statement).execute(&mut *self.0).await.map_err(translate)?.rows_affected())
    }

    async fn fetch(&mut self, statement: Statement) -> Result<Vec<Row>, ViewsError> {
        let rows = query(statement).fetch_all(&mut *self.0).await.map_err(translate)?;
        Ok(rows.into_iter().map(Row::Postgres).collect())
    }

    async fn bulk(&mut self, bulk: Bulk) -> Result<u64, ViewsError> {
        let Bulk { before, after, on_postgres, common, mut rows } = bulk;
        let (before, after) = on_postgres.unwrap_or((before, after));
        let mut changed = 0;
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(BULK_ROWS));
            let columns = columns(rows)?;
            let text = format!("{before}{}{after}", select_list(&common, &columns));
            let query = common.iter().cloned().fold(sqlx::query(AssertSqlSafe(text)), bind);
            let query = columns.into_iter().fold(query, |query, column| column.bind(query));
            changed += query.execute(&mut *self.0).await.map_err(translate)?.rows_affected();
            rows = rest;
        }
        Ok(changed)
    }

    async fn time(&mut self, _asked_at: DateTime<Utc>) -> Result<DateTime<Utc>, ViewsError> {
        sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut *self.0).await.map_err(translate)
    }

    async fn commit(self: Box<Self>) -> Result<(), ViewsError> {
        self.0.commit().await.map_err(translate)
    }
}

type PostgresQuery = Query<'static, Postgres, PgArguments>;

fn query(statement: Statement) -> PostgresQuery {
    let (text, values) = statement.into_parts();
    values.into_iter().fold(sqlx::query(AssertSqlSafe(text)), bind)
}

fn bind(query: PostgresQuery, value: Value) -> PostgresQuery {
    match value {
        Value::Text(value) => query.bind(value.map(without_nul)),
        Value::Int(value) => query.bind(value),
        Value::Real(value) => query.bind(value),
        Value::Time(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
    }
}

/// `SELECT $1::text, own.* FROM UNNEST($2::bigint[], $3::float8[]) AS own` for one common value and two columns.
fn select_list(common: &[Value], columns: &[Column]) -> String {
    let common_values = (1..).zip(common).map(|(number, value)| format!("${number}::{}, ", sql_type(value)));
    let arrays = (common.len() + 1..).zip(columns).map(|(number, column)| format!("${number}::{}", column.sql_type()));
    let (common_values, arrays) = (common_values.collect::<String>(), arrays.collect::<Vec<_>>().join(", "));
    format!("SELECT {common_values}own.* FROM UNNEST({arrays}) AS own")
}

const fn sql_type(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "text",
        Value::Int(_) => "bigint",
        Value::Real(_) => "float8",
        Value::Time(_) => "timestamptz",
        Value::Bytes(_) => "bytea",
    }
}

/// A column of many rows: one array, one parameter.
enum Column {
    Text(Vec<Option<String>>),
    Int(Vec<Option<i64>>),
    Real(Vec<Option<f64>>),
    Time(Vec<Option<chrono::DateTime<chrono::Utc>>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Column {
    fn of_type(value: &Value, rows: usize) -> Self {
        match value {
            Value::Text(_) => Self::Text(Vec::with_capacity(rows)),
            Value::Int(_) => Self::Int(Vec::with_capacity(rows)),
            Value::Real(_) => Self::Real(Vec::with_capacity(rows)),
            Value::Time(_) => Self::Time(Vec::with_capacity(rows)),
            Value::Bytes(_) => Self::Bytes(Vec::with_capacity(rows)),
        }
    }

    fn push(&mut self, value: Value) -> Result<(), ViewsError> {
        match (self, value) {
            (Self::Text(column), Value::Text(value)) => column.push(value.map(without_nul)),
            (Self::Int(column), Value::Int(value)) => column.push(value),
            (Self::Real(column), Value::Real(value)) => column.push(value),
            (Self::Time(column), Value::Time(value)) => column.push(value),
            (Self::Bytes(column), Value::Bytes(value)) => column.push(value),
            // UNNEST would fill a shorter array up with nulls.
            (_, value) => {
                return Err(ViewsError::Refused { reason: format!("rows of two shapes in one statement: {value:?}") });
            }
        }
        Ok(())
    }

    const fn sql_type(&self) -> &'static str {
        match self {
            Self::Text(_) => "text[]",
            Self::Int(_) => "bigint[]",
            Self::Real(_) => "float8[]",
            Self::Time(_) => "timestamptz[]",
            Self::Bytes(_) => "bytea[]",
        }
    }

    fn bind(self, query: PostgresQuery) -> PostgresQuery {
        match self {
            Self::Text(column) => query.bind(column),
            Self::Int(column) => query.bind(column),
            Self::Real(column) => query.bind(column),
            Self::Time(column) => query.bind(column),
            Self::Bytes(column) => query.bind(column),
        }
    }
}

fn columns(rows: Vec<Vec<Value>>) -> Result<Vec<Column>, ViewsError> {
    let mut columns: Vec<Column> =
        rows.first().into_iter().flatten().map(|value| Column::of_type(value, rows.len())).collect();
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value)?;
        }
    }
    Ok(columns)
}

/// A Postgres text cannot hold U+0000, which a tag or a reason may contain: it becomes the replacement character.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_with_what_to_do_and_without_its_password() {
        // A port that nobody listens at, once its listener is gone.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("postgres://me:hunter2@127.0.0.1:{port}/meters");
        let error = PostgresViews::connect(&url).await.map(drop).unwrap_err();
        assert!(matches!(error, ViewsError::Unavailable { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains(&format!("database meters at 127.0.0.1:{port} gives no connection")), "{said}");
        assert!(said.contains("KILOWATCH_VIEWS__URL") && !said.contains("hunter2"), "{said}");
    }
}
