//! Messages that became no reading, by position.

use super::{Bulk, Row, Session, Statement};
use crate::{dead_letter::DeadLetter, position::StreamName, views::ViewsError};

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
