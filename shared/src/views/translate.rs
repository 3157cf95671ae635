//! What the drivers say, in the meanings of [`ViewsError`]. Nothing outside of `views/` knows a code.

use sqlx::{error::DatabaseError, migrate::MigrateError, postgres::PgDatabaseError};

use super::ViewsError;

/// The meaning of a driver's error.
pub fn translate(error: sqlx::Error) -> ViewsError {
    use sqlx::Error;
    let reason = error.to_string();
    match error {
        Error::Database(error) => from_database(error.as_ref()),
        Error::Io(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::BeginFailed
        | Error::Protocol(_) => ViewsError::Unavailable { reason },
        // What the driver says of an address may repeat the password.
        Error::Configuration(_) => ViewsError::BadUrl { reason: "the driver does not understand it".to_owned() },
        Error::Tls(_) => ViewsError::Refused { reason: format!("{reason}; check sslmode and sslrootcert") },
        Error::Migrate(error) => from_migration(*error),
        Error::Encode(source) => ViewsError::Refused { reason: source.to_string() },
        Error::ColumnNotFound(_) | Error::TypeNotFound { .. } => ViewsError::Schema { reason },
        _ => ViewsError::Corrupt { reason },
    }
}

/// The meaning of a failed migration.
pub fn from_migration(error: MigrateError) -> ViewsError {
    match error {
        MigrateError::Execute(source) => translate(source),
        MigrateError::ExecuteMigration(source, version) => match translate(source) {
            ViewsError::Schema { reason } => ViewsError::Schema { reason: format!("migration {version}: {reason}") },
            other => other,
        },
        MigrateError::VersionMismatch(version) => ViewsError::Schema {
            reason: format!("migration {version} was applied in another form: these are the views of another build"),
        },
        other => ViewsError::Schema { reason: other.to_string() },
    }
}

fn from_database(error: &dyn DatabaseError) -> ViewsError {
    match error.try_downcast_ref::<PgDatabaseError>() {
        Some(error) => from_postgres(error),
        None => from_sqlite(error),
    }
}

/// By SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn from_postgres(error: &PgDatabaseError) -> ViewsError {
    let reason = format!("{} ({})", error.message(), error.code());
    match error.code() {
        "42P01" | "42703" | "42P10" | "42883" => ViewsError::Schema { reason },
        // A lock that was not to be had, a deadlock, a timeout, a server that stops or is full.
        "55P03" | "57014" | "25P03" | "25P02" | "53200" | "53300" | "3B001" => ViewsError::Unavailable { reason },
        code if ["08", "40", "57"].iter().any(|class| code.starts_with(class)) => ViewsError::Unavailable { reason },
        code if code.starts_with("XX") => ViewsError::Corrupt { reason },
        _ => ViewsError::Refused { reason },
    }
}

/// By primary result code: <https://www.sqlite.org/rescode.html>.
fn from_sqlite(error: &dyn DatabaseError) -> ViewsError {
    let reason = error.message().to_owned();
    let code = error.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(1) & 0xff;
    match code {
        SQLITE_BUSY | SQLITE_LOCKED | SQLITE_INTERRUPT | SQLITE_NOMEM | SQLITE_PROTOCOL => {
            ViewsError::Unavailable { reason }
        }
        SQLITE_CORRUPT | SQLITE_NOTADB => ViewsError::Corrupt { reason },
        SQLITE_ERROR | SQLITE_SCHEMA => ViewsError::Schema { reason },
        SQLITE_FULL => ViewsError::Refused { reason: format!("{reason}; free some space on the disk of the views") },
        SQLITE_READONLY | SQLITE_PERM | SQLITE_AUTH | SQLITE_CANTOPEN => {
            ViewsError::Refused { reason: format!("{reason}; check that file and folder of the views can be written") }
        }
        _ => ViewsError::Refused { reason },
    }
}

const SQLITE_ERROR: i32 = 1;
const SQLITE_PERM: i32 = 3;
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_NOMEM: i32 = 7;
const SQLITE_READONLY: i32 = 8;
const SQLITE_INTERRUPT: i32 = 9;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_PROTOCOL: i32 = 15;
const SQLITE_SCHEMA: i32 = 17;
const SQLITE_AUTH: i32 = 23;
const SQLITE_NOTADB: i32 = 26;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::{ConnectOptions, Connection, Executor, sqlite::SqliteConnectOptions};

    use super::*;
    use crate::retry::RetryHint;

    #[tokio::test]
    async fn a_file_that_another_process_writes_is_worth_a_retry() {
        let folder = tempfile::TempDir::new().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("views.sqlite"))
            .create_if_missing(true)
            .busy_timeout(Duration::ZERO);
        let mut holder = options.connect().await.unwrap();
        let mut other = options.connect().await.unwrap();
        let _held = holder.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let error = translate(other.begin_with("BEGIN IMMEDIATE").await.map(drop).unwrap_err());
        assert!(matches!(error, ViewsError::Unavailable { .. }), "{error:?}");
        assert_eq!(error.retry_hint(), RetryHint::WithBackoff);
    }

    #[tokio::test]
    async fn a_table_that_is_missing_is_a_matter_of_the_schema() {
        let mut connection = SqliteConnectOptions::new().in_memory(true).connect().await.unwrap();
        let error = translate(connection.execute("SELECT id FROM anomalies").await.unwrap_err());
        assert!(matches!(&error, ViewsError::Schema { reason } if reason.contains("anomalies")), "{error:?}");
        assert_eq!(error.retry_hint(), RetryHint::Never);
    }
}
