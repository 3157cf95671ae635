//! What SQLite says, as meanings of the log.

use crate::log::LogError;

/// Primary result codes of SQLite (sqlite.org/rescode.html) that go away: locked, out of disk or memory, I/O, cannot open.
const PASSING: [i32; 6] = [5, 6, 7, 10, 13, 14];

/// Translates an error of the driver.
pub(super) fn translated(error: sqlx::Error) -> LogError {
    let passing = match &error {
        sqlx::Error::Database(database) => {
            let code = database.code().and_then(|code| code.parse::<i32>().ok());
            // The low byte of an extended code is the primary one.
            code.is_some_and(|code| PASSING.contains(&(code & 0xff)))
        }
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        _ => false,
    };
    let reason = error.to_string();
    if passing { LogError::Unavailable { reason } } else { LogError::Unusable { reason } }
}
