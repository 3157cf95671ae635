//! Looking into the file: topics, watermarks and ranges of messages. Each look is one statement, so it sees one state.

use bytes::Bytes;
use chrono::DateTime;
use futures::TryStreamExt;
use sqlx::{Row, SqlitePool, sqlite::SqliteRow};

use super::{chunk::unpack, error::translated};
use crate::{
    checkpoint::SourcePartition,
    log::{
        Fetched, LogError, ReadLimit, Watermarks,
        budget::{ReadBudget, weight},
    },
    position::{Offset, SourceId},
};

/// A topic; once made it stays as it is, so it may be remembered.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) source: SourceId,
    /// The row of each partition, by number.
    pub(super) partition_ids: Vec<i64>,
}

/// Looks a topic up.
///
/// # Errors
/// [`LogError::UnknownTopic`].
pub(super) async fn topic(readers: &SqlitePool, name: &str) -> Result<Topic, LogError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT t.source, p.partition_id FROM topics t JOIN partitions p ON p.topic_id = t.topic_id \
         WHERE t.name = ?1 ORDER BY p.number",
    )
    .bind(name)
    .fetch_all(readers)
    .await
    .map_err(translated)?;
    let Some((source, _)) = rows.first() else { return Err(LogError::UnknownTopic { topic: name.to_owned() }) };
    let source = SourceId::parse(source).map_err(|invalid| LogError::Unusable { reason: invalid.to_string() })?;
    Ok(Topic { source, partition_ids: rows.into_iter().map(|(_, partition_id)| partition_id).collect() })
}

/// The row and the ends of a partition.
///
/// # Errors
/// [`LogError::UnknownPartition`].
pub(super) async fn ends(readers: &SqlitePool, partition: &SourcePartition) -> Result<(i64, Watermarks), LogError> {
    let row: Option<(i64, i64, i64)> = sqlx::query_as(
        "SELECT p.partition_id, p.low_offset, p.next_offset FROM topics t JOIN partitions p ON p.topic_id = t.topic_id \
         WHERE t.source = ?1 AND p.number = ?2",
    )
    .bind(partition.source.as_str())
    .bind(i64::from(partition.partition))
    .fetch_optional(readers)
    .await
    .map_err(translated)?;
    let (partition_id, low, high) = row.ok_or_else(|| unknown(partition))?;
    Ok((partition_id, Watermarks { low: offset(low)?, high: offset(high)? }))
}

/// Reads what is there from `from` on.
///
/// # Errors
/// [`LogError::OutOfRange`], [`LogError::UnknownPartition`].
pub(super) async fn fetch(
    readers: &SqlitePool,
    partition: &SourcePartition,
    from: Offset,
    limit: ReadLimit,
) -> Result<Fetched, LogError> {
    // The watermarks come with every row, and alone if there is no chunk: they belong to the very state that is read.
    let mut rows = sqlx::query(
        "SELECT p.low_offset, p.next_offset, c.first_offset, c.logged_at_us, c.body \
         FROM topics t JOIN partitions p ON p.topic_id = t.topic_id \
         LEFT JOIN chunks c ON c.partition_id = p.partition_id AND c.first_offset < ?4 AND c.first_offset >= coalesce( \
             (SELECT max(b.first_offset) FROM chunks b WHERE b.partition_id = p.partition_id AND b.first_offset <= ?3), 0) \
         WHERE t.source = ?1 AND p.number = ?2 ORDER BY c.first_offset LIMIT ?5",
    )
    .bind(partition.source.as_str())
    .bind(i64::from(partition.partition))
    .bind(from.as_i64())
    .bind(limit.before.map_or(i64::MAX, Offset::as_i64))
    .bind(i64::try_from(limit.records.max(1)).unwrap_or(i64::MAX))
    .fetch(readers);

    let mut budget = ReadBudget::new(limit);
    let mut fetched = Fetched { records: Vec::new(), next: from };
    let mut known = false;
    while let Some(row) = rows.try_next().await.map_err(translated)? {
        if !known {
            check_range(partition, from, &row)?;
            known = true;
        }
        if !take_chunk(&row, &mut budget, &mut fetched)? {
            break;
        }
    }
    if known { Ok(fetched) } else { Err(unknown(partition)) }
}

fn check_range(partition: &SourcePartition, from: Offset, row: &SqliteRow) -> Result<(), LogError> {
    let watermarks = Watermarks { low: offset(row.get(0))?, high: offset(row.get(1))? };
    if from < watermarks.low || from > watermarks.high {
        return Err(LogError::OutOfRange { partition: partition.clone(), asked: from, watermarks });
    }
    Ok(())
}

/// Adds what the read wants of a chunk; `false` once it wants no more.
fn take_chunk(row: &SqliteRow, budget: &mut ReadBudget, fetched: &mut Fetched) -> Result<bool, LogError> {
    let Some(first) = row.get::<Option<i64>, _>(2) else { return Ok(false) };
    let timestamp = DateTime::from_timestamp_micros(row.get(3))
        .ok_or_else(|| LogError::Unusable { reason: format!("the chunk at offset {first} has no valid time") })?;
    let body = Bytes::from(row.get::<Vec<u8>, _>(4));
    for record in unpack(body, offset(first)?, timestamp) {
        let record = record?;
        if record.offset < fetched.next {
            continue;
        }
        if !budget.allows(record.offset) || !budget.take(weight(&record)) {
            return Ok(false);
        }
        fetched.next = record.offset.plus(1);
        fetched.records.push(record);
    }
    Ok(true)
}

fn offset(stored: i64) -> Result<Offset, LogError> {
    Offset::try_from_i64(stored).map_err(|invalid| LogError::Unusable { reason: invalid.to_string() })
}

fn unknown(partition: &SourcePartition) -> LogError {
    LogError::UnknownPartition { partition: partition.clone() }
}
