//! Partitions: owner, applied offset, cuts and their pins.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};

use super::{Row, Session, Statement, row::corrupt};
use crate::{
    checkpoint::{Cut, MessageHash, OffsetSpan, OwnerToken, Pins},
    position::{Offset, PartitionId, StreamName},
    reading::MessageCounts,
    views::{PartitionState, ViewsError},
};

/// Makes `owner` the owner. A partition that is not known yet begins with `first`.
pub async fn take(
    session: &mut dyn Session,
    partition: &PartitionId,
    owner: OwnerToken,
    first: &Cut,
    now: DateTime<Utc>,
) -> Result<(), ViewsError> {
    let begin = of(
        "INSERT INTO partitions (stream, source, source_partition, applied_offset) VALUES ($1, $2, $3, $4)
         ON CONFLICT (stream, source, source_partition) DO NOTHING",
        partition,
    );
    if session.execute(begin.bind(first.offset.as_i64())).await? == 1 {
        record_cut(session, partition, first).await?;
    }
    let take = of(
        "UPDATE partitions SET owner = $4, owner_seen_at = $5
         WHERE stream = $1 AND source = $2 AND source_partition = $3",
        partition,
    );
    session.execute(take.bind(owner.to_string()).bind(now)).await?;
    Ok(())
}

/// `A := span.to where owner = owner and A = span.from`. False if there is no such row: nothing changed.
pub async fn advance(
    session: &mut dyn Session,
    partition: &PartitionId,
    owner: OwnerToken,
    span: OffsetSpan,
    counts: MessageCounts,
    last_message: Option<&MessageHash>,
    now: DateTime<Utc>,
) -> Result<bool, ViewsError> {
    let statement = of(
        "UPDATE partitions SET applied_offset = $6, last_message = COALESCE($7, last_message),
             readings = readings + $8, duplicates = duplicates + $9, dead_letters = dead_letters + $10,
             owner_seen_at = $11
         WHERE stream = $1 AND source = $2 AND source_partition = $3 AND owner = $4 AND applied_offset = $5",
        partition,
    )
    .bind(owner.to_string())
    .bind(span.from.as_i64())
    .bind(span.to.as_i64())
    .bind(last_message.map(|hash| hash.as_str().to_owned()))
    .bind(counts.readings)
    .bind(counts.duplicates)
    .bind(counts.dead_letters)
    .bind(now);
    Ok(session.execute(statement).await? == 1)
}

/// Gives the partition up, if it is still `owner`'s.
pub async fn release(session: &mut dyn Session, partition: &PartitionId, owner: OwnerToken) -> Result<(), ViewsError> {
    let statement = of(
        "UPDATE partitions SET owner = NULL
         WHERE stream = $1 AND source = $2 AND source_partition = $3 AND owner = $4",
        partition,
    );
    session.execute(statement.bind(owner.to_string())).await?;
    Ok(())
}

/// Owner and applied offset.
pub async fn owner_and_applied(
    session: &mut dyn Session,
    partition: &PartitionId,
) -> Result<Option<(Option<OwnerToken>, Offset)>, ViewsError> {
    let statement = of(
        "SELECT owner, applied_offset FROM partitions WHERE stream = $1 AND source = $2 AND source_partition = $3",
        partition,
    );
    let row = session.fetch_optional(statement).await?;
    row.map(|row| Ok((owner_of(&row)?, row.offset("applied_offset")?))).transpose()
}

/// All that is known of the partition.
pub async fn state(session: &mut dyn Session, partition: &PartitionId) -> Result<Option<PartitionState>, ViewsError> {
    let statement = of(
        "SELECT owner, applied_offset, last_message FROM partitions
         WHERE stream = $1 AND source = $2 AND source_partition = $3",
        partition,
    );
    let Some(row) = session.fetch_optional(statement).await? else { return Ok(None) };
    Ok(Some(PartitionState {
        owner: owner_of(&row)?,
        applied: row.offset("applied_offset")?,
        last_message: row.optional_text("last_message")?.map(MessageHash::from_stored),
        cuts: cuts(session, partition).await?,
    }))
}

/// Records a cut; one that is there already stays as it is.
pub async fn record_cut(session: &mut dyn Session, partition: &PartitionId, cut: &Cut) -> Result<(), ViewsError> {
    let unwritable = |error| ViewsError::Refused { reason: format!("the pins cannot be written as JSON: {error}") };
    let id = cut.pins.id().map_err(unwritable)?;
    let body = serde_json::to_string(&cut.pins).map_err(unwritable)?;
    let pins = Statement::new("INSERT INTO pins (id, body) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING");
    session.execute(pins.bind(id.as_str()).bind(body)).await?;
    let statement = of(
        "INSERT INTO cuts (stream, source, source_partition, cut_offset, pins_id) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (stream, source, source_partition, cut_offset) DO NOTHING",
        partition,
    );
    session.execute(statement.bind(cut.offset.as_i64()).bind(id.as_str())).await?;
    Ok(())
}

/// The recorded cuts, ascending. Equal pins are one value in memory.
pub async fn cuts(session: &mut dyn Session, partition: &PartitionId) -> Result<Vec<Cut>, ViewsError> {
    let recorded = session
        .fetch(of(
            "SELECT cut_offset, pins_id FROM cuts
             WHERE stream = $1 AND source = $2 AND source_partition = $3 ORDER BY cut_offset",
            partition,
        ))
        .await?;
    let bodies = session
        .fetch(of(
            "SELECT id, body FROM pins WHERE id IN
             (SELECT pins_id FROM cuts WHERE stream = $1 AND source = $2 AND source_partition = $3)",
            partition,
        ))
        .await?;
    let pins: HashMap<String, Arc<Pins>> =
        bodies.iter().map(|row| Ok((row.text("id")?, Arc::new(pins_of(row)?)))).collect::<Result<_, ViewsError>>()?;
    recorded
        .iter()
        .map(|row| {
            let id = row.text("pins_id")?;
            let pins = pins.get(&id).ok_or_else(|| corrupt("pins_id", &id, "there are no such pins"))?;
            Ok(Cut { offset: row.offset("cut_offset")?, pins: Arc::clone(pins) })
        })
        .collect()
}

/// The last recorded cut at or below `offset`.
pub async fn last_cut_at_or_below(
    session: &mut dyn Session,
    partition: &PartitionId,
    offset: Offset,
) -> Result<Option<Offset>, ViewsError> {
    let statement = of(
        "SELECT cut_offset FROM cuts
         WHERE stream = $1 AND source = $2 AND source_partition = $3 AND cut_offset <= $4
         ORDER BY cut_offset DESC LIMIT 1",
        partition,
    );
    let row = session.fetch_optional(statement.bind(offset.as_i64())).await?;
    row.map(|row| row.offset("cut_offset")).transpose()
}

/// Every partition of the stream that was ever claimed.
pub async fn of_stream(session: &mut dyn Session, stream: &StreamName) -> Result<Vec<PartitionId>, ViewsError> {
    let statement = Statement::new(
        "SELECT stream, source, source_partition FROM partitions WHERE stream = $1 ORDER BY source, source_partition",
    );
    let rows = session.fetch(statement.bind(stream.as_str())).await?;
    rows.iter()
        .map(|row| {
            Ok(PartitionId { stream: row.stream()?, source: row.source()?, partition: row.small("source_partition")? })
        })
        .collect()
}

/// A statement whose first three parameters are the partition.
pub fn of(text: &'static str, partition: &PartitionId) -> Statement {
    Statement::new(text).bind(partition.stream.as_str()).bind(partition.source.as_str()).bind(partition.partition)
}

fn owner_of(row: &Row) -> Result<Option<OwnerToken>, ViewsError> {
    let text = row.optional_text("owner")?;
    text.map(|text| text.parse().map_err(|_| corrupt("owner", &text, "an owner token is a UUID"))).transpose()
}

fn pins_of(row: &Row) -> Result<Pins, ViewsError> {
    serde_json::from_str(&row.text("body")?)
        .map_err(|error| ViewsError::Corrupt { reason: format!("pins are not readable by this build: {error}") })
}
