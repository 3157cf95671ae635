//! Messages that became no reading, by position.

use chrono::{DateTime, Utc};

use super::{Bulk, Row, Session, Statement};
use crate::{
    dead_letter::DeadLetter,
    position::{SourcePosition, StreamName},
    views::{DeadLetterFilter, ListedDeadLetter, ViewsError},
};

/// Adds dead letters. A known position is a replay: what is there stays.
pub async fn add(session: &mut dyn Session, stream: &StreamName, letters: &[DeadLetter]) -> Result<(), ViewsError> {
    let rows = letters
        .iter()
        .map(|letter| {
            vec![
                stream.as_str().into(),
                letter.position.source.as_str().into(),
                letter.position.partition.into(),
                letter.position.offset.as_i64().into(),
                letter.key.as_deref().into(),
                letter.raw.as_ref().into(),
                letter.reason.as_str().into(),
                letter.seen_at.into(),
            ]
        })
        .collect();
    session
        .bulk(Bulk::new(
            "INSERT INTO dead_letters (stream, source, source_partition, source_offset, message_key, raw, reason, seen_at)
             {rows}
             ON CONFLICT (stream, source, source_partition, source_offset) DO NOTHING",
            rows,
        ))
        .await?;
    Ok(())
}

/// The statement of the newest ones.
pub fn newest(stream: &StreamName, limit: u32) -> Statement {
    Statement::new(
        "SELECT source, source_partition, source_offset, message_key, raw, reason, seen_at FROM dead_letters
         WHERE stream = $1 ORDER BY seen_at DESC, source, source_partition, source_offset DESC LIMIT $2",
    )
    .bind(stream.as_str())
    .bind(limit)
}

/// The statement of a page, newest first.
pub fn page(stream: &StreamName, filter: &DeadLetterFilter, after: Option<&SourcePosition>, limit: u32) -> Statement {
    let mut statement = Statement::new(
        "SELECT source, source_partition, source_offset, message_key, raw, reason, seen_at, replayed_at
         FROM dead_letters WHERE stream = $1",
    )
    .bind(stream.as_str());
    if let Some(partition) = filter.partition {
        statement.push_bind(" AND source_partition = ", partition);
    }
    if let Some(from) = filter.from {
        statement.push_bind(" AND seen_at >= ", from);
    }
    if let Some(until) = filter.until {
        statement.push_bind(" AND seen_at < ", until);
    }
    if let Some(reason) = &filter.reason {
        statement.push_bind(" AND LOWER(reason) LIKE LOWER(", pattern(reason));
        statement.push(") ESCAPE '!'");
    }
    if filter.only_open {
        statement.push(" AND replayed_at IS NULL");
    }
    if let Some(after) = after {
        statement.push_bind(
            " AND (seen_at, source, source_partition, source_offset) < (
             SELECT seen_at, source, source_partition, source_offset FROM dead_letters WHERE stream = ",
            stream.as_str(),
        );
        statement.push_bind(" AND source = ", after.source.as_str());
        statement.push_bind(" AND source_partition = ", after.partition);
        statement.push_bind(" AND source_offset = ", after.offset.as_i64());
        statement.push(")");
    }
    statement.push_bind(
        " ORDER BY seen_at DESC, source DESC, source_partition DESC, source_offset DESC LIMIT ",
        i64::from(limit),
    );
    statement
}

/// The statement of the one at a position.
pub fn at(stream: &StreamName, position: &SourcePosition) -> Statement {
    Statement::new(
        "SELECT source, source_partition, source_offset, message_key, raw, reason, seen_at, replayed_at
         FROM dead_letters WHERE stream = $1 AND source = $2 AND source_partition = $3 AND source_offset = $4",
    )
    .bind(stream.as_str())
    .bind(position.source.as_str())
    .bind(position.partition)
    .bind(position.offset.as_i64())
}

/// Notes a replay; the first note stays.
pub async fn mark_replayed(
    session: &mut dyn Session,
    stream: &StreamName,
    positions: &[SourcePosition],
    at: DateTime<Utc>,
) -> Result<(), ViewsError> {
    for position in positions {
        let statement = Statement::new(
            "UPDATE dead_letters SET replayed_at = $5
             WHERE stream = $1 AND source = $2 AND source_partition = $3 AND source_offset = $4
                 AND replayed_at IS NULL",
        )
        .bind(stream.as_str())
        .bind(position.source.as_str())
        .bind(position.partition)
        .bind(position.offset.as_i64())
        .bind(at);
        session.execute(statement).await?;
    }
    Ok(())
}

/// The dead letter of a row, with what became of it.
pub fn listed_of(row: &Row) -> Result<ListedDeadLetter, ViewsError> {
    Ok(ListedDeadLetter { letter: dead_letter_of(row)?, replayed_at: row.optional_time("replayed_at")? })
}

/// A pattern that finds the text as it is.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// The dead letter of a row.
pub fn dead_letter_of(row: &Row) -> Result<DeadLetter, ViewsError> {
    Ok(DeadLetter {
        position: row.position()?,
        key: row.optional_bytes("message_key")?,
        raw: row.bytes("raw")?,
        reason: row.text("reason")?,
        seen_at: row.time("seen_at")?,
    })
}
