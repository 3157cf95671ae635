//! The file: made on first use, refused if it is something else.

use std::{path::Path, time::Duration};

use sqlx::{
    Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::error::translated;
use crate::log::LogError;

/// `kwLG`, so that `file` and we can tell the log from the views.
const APPLICATION_ID: i64 = 0x6b77_4c47;
/// Version of the tables and of the body of a chunk.
const FORMAT: i64 = 1;
/// Another process holds the lock for one group, a few milliseconds; this is a process that was stopped in it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// A bulk append grows the write-ahead log; a checkpoint gives back what is beyond this many bytes.
const WAL_BYTES_KEPT: &str = "67108864";

/// How every connection opens the file.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .pragma("journal_size_limit", WAL_BYTES_KEPT)
}

/// Makes the tables in an empty file and checks any other.
///
/// # Errors
/// [`LogError::Unusable`] for a file of another program or of a newer kilowatch.
pub(super) async fn prepare(connection: &mut SqliteConnection, path: &Path) -> Result<(), LogError> {
    let unusable = |what: &str| LogError::Unusable { reason: format!("{} {what}", path.display()) };
    // Immediate, so that of two processes that make the file together the second one sees the first one's tables.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(translated)?;
    let row = sqlx::query(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) AS tables \
         FROM pragma_application_id, pragma_user_version",
    )
    .fetch_one(&mut *transaction)
    .await
    .map_err(translated)?;
    let (application, format, tables): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    if tables == 0 && application == 0 {
        sqlx::raw_sql(include_str!("schema.sql")).execute(&mut *transaction).await.map_err(translated)?;
        // A pragma takes no bound parameters; the numbers are checked against the constants by the next open.
        sqlx::raw_sql("PRAGMA application_id = 0x6b774c47; PRAGMA user_version = 1;")
            .execute(&mut *transaction)
            .await
            .map_err(translated)?;
    } else if application != APPLICATION_ID {
        return Err(unusable("is a database, but not a log of kilowatch; give the log another path"));
    } else if format != FORMAT {
        return Err(unusable("was written by another version of kilowatch; use that version, or another path"));
    }
    transaction.commit().await.map_err(translated)
}
