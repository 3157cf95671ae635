//! Dropping what nobody needs any more.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::error::translated;
use crate::{log::LogError, position::Offset};

/// Chunks that one transaction drops, at most 16 MiB: appends wait for it.
const CHUNKS_AT_ONCE: i64 = 64;

/// What one step dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trimmed {
    pub(super) records: u64,
    pub(super) more: bool,
}

/// Moves the low watermark up to `below`, but not past a message taken at or after `before`, and drops the chunks that
/// are wholly under it; one step of it, inside the caller's transaction.
pub(super) async fn trim(
    transaction: &mut SqliteConnection,
    partition_id: i64,
    below: Offset,
    before: DateTime<Utc>,
) -> Result<Trimmed, LogError> {
    let (low, next): (i64, i64) =
        sqlx::query_as("SELECT low_offset, next_offset FROM partitions WHERE partition_id = ?1")
            .bind(partition_id)
            .fetch_one(&mut *transaction)
            .await
            .map_err(translated)?;
    // The chunks of this step, oldest first; one more than it takes tells whether another step is needed.
    let chunks: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT first_offset, records, logged_at_us FROM chunks \
         WHERE partition_id = ?1 AND first_offset < ?2 ORDER BY first_offset LIMIT ?3",
    )
    .bind(partition_id)
    .bind(below.as_i64())
    .bind(CHUNKS_AT_ONCE + 1)
    .fetch_all(&mut *transaction)
    .await
    .map_err(translated)?;
    let more = i64::try_from(chunks.len()).is_ok_and(|found| found > CHUNKS_AT_ONCE);
    let step = chunks.iter().take(CHUNKS_AT_ONCE as usize);
    // Only a prefix goes: the first chunk that is too young ends it.
    let mut keep_from = low;
    let mut met_young = false;
    for (first, records, logged_at_us) in step {
        if *logged_at_us >= before.timestamp_micros() {
            met_young = true;
            break;
        }
        keep_from = first + records;
    }
    let keep_from = keep_from.min(below.as_i64()).min(next).max(low);
    sqlx::query("DELETE FROM chunks WHERE partition_id = ?1 AND first_offset + records <= ?2 AND first_offset < ?2")
        .bind(partition_id)
        .bind(keep_from)
        .execute(&mut *transaction)
        .await
        .map_err(translated)?;
    sqlx::query("UPDATE partitions SET low_offset = ?2 WHERE partition_id = ?1")
        .bind(partition_id)
        .bind(keep_from)
        .execute(&mut *transaction)
        .await
        .map_err(translated)?;
    Ok(Trimmed { records: (keep_from - low).unsigned_abs(), more: more && !met_young })
}
