//! The outbox: entries, leases and the floor of each partition.

use async_trait::async_trait;

use super::{Bulk, Database, Row, Session, SqlViews, Statement, partitions, row::corrupt};
use crate::{
    checkpoint::OwnerToken,
    outbox::OutboxEntry,
    position::{Offset, PartitionId, StreamName},
    views::{Lease, OutboxBacklog, OutboxViews, PositionMove, ViewsError},
};

/// Adds the entries of positions at and above the partition's floor. One that is there stays as it is.
pub async fn add(
    session: &mut dyn Session,
    partition: &PartitionId,
    entries: &[OutboxEntry],
) -> Result<(), ViewsError> {
    if entries.is_empty() {
        return Ok(());
    }
    let floor = partitions::of(
        "SELECT outbox_from FROM partitions WHERE stream = $1 AND source = $2 AND source_partition = $3",
        partition,
    );
    let floor = session.fetch_optional(floor).await?.map(|row| row.offset("outbox_from")).transpose()?;
    let rows = entries
        .iter()
        .filter(|entry| floor.is_none_or(|floor| entry.position.offset >= floor))
        .map(|entry| {
            let headers = serde_json::to_string(&entry.headers).map_err(|error| ViewsError::Refused {
                reason: format!("the headers of a message cannot be written as JSON: {error}"),
            })?;
            Ok(vec![
                partition.stream.as_str().into(),
                partition.source.as_str().into(),
                partition.partition.into(),
                entry.position.offset.as_i64().into(),
                entry.id.as_str().into(),
                entry.topic.as_str().into(),
                entry.key.as_deref().into(),
                entry.payload.as_deref().into(),
                headers.into(),
            ])
        })
        .collect::<Result<Vec<_>, ViewsError>>()?;
    session
        .bulk(Bulk::new(
            "INSERT INTO outbox (stream, source, source_partition, source_offset, message_id, topic, message_key,
                 payload, headers)
             {rows}
             ON CONFLICT (stream, source, source_partition, source_offset, message_id) DO NOTHING",
            rows,
        ))
        .await?;
    Ok(())
}

/// Takes back what waits of messages whose effects a move undoes, and sets the floor: entries leave in the order of their
/// positions, so from the first one that waits on, nothing was told yet.
pub async fn take_back(session: &mut dyn Session, change: &PositionMove) -> Result<(), ViewsError> {
    let partition = &change.partition;
    let waiting = partitions::of(
        "SELECT MIN(source_offset) AS first_waiting FROM outbox
         WHERE stream = $1 AND source = $2 AND source_partition = $3",
        partition,
    );
    let row = session.fetch_optional(waiting).await?;
    let waiting = row.map(|row| row.optional_int("first_waiting")).transpose()?.flatten();
    // What was a dead letter below the new position is one still.
    let gone = partitions::of(
        "DELETE FROM outbox WHERE stream = $1 AND source = $2 AND source_partition = $3
             AND (source_offset >= $5 OR (source_offset >= $4 AND message_id NOT LIKE 'dead:%'))",
        partition,
    );
    session.execute(gone.bind(change.undone_from.as_i64()).bind(change.to.as_i64())).await?;
    let floor = if change.resend {
        partitions::of(
            "UPDATE partitions SET outbox_from = $4 WHERE stream = $1 AND source = $2 AND source_partition = $3",
            partition,
        )
        .bind(change.to.as_i64())
    } else {
        partitions::of(
            "UPDATE partitions SET outbox_from = CASE WHEN outbox_from < $4 THEN $4 ELSE outbox_from END
             WHERE stream = $1 AND source = $2 AND source_partition = $3",
            partition,
        )
        .bind(waiting.unwrap_or_else(|| change.from.as_i64()))
    };
    session.execute(floor).await?;
    Ok(())
}

#[async_trait]
impl<D: Database> OutboxViews for SqlViews<D> {
    async fn outbox_backlogs(&self, stream: &StreamName) -> Result<Vec<OutboxBacklog>, ViewsError> {
        let statement = Statement::new(
            "SELECT stream, source, source_partition, COUNT(*) AS entries FROM outbox WHERE stream = $1
             GROUP BY stream, source, source_partition ORDER BY source, source_partition",
        );
        let rows = self.database.fetch(statement.bind(stream.as_str())).await?;
        rows.iter()
            .map(|row| {
                let partition = row.small("source_partition")?;
                let partition = PartitionId { stream: row.stream()?, source: row.source()?, partition };
                Ok(OutboxBacklog { partition, entries: row.count("entries")? })
            })
            .collect()
    }

    async fn lease_outbox(&self, partition: &PartitionId, lease: &Lease) -> Result<bool, ViewsError> {
        let statement = partitions::of(
            "INSERT INTO outbox_leases (stream, source, source_partition, holder, leased_until)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (stream, source, source_partition)
             DO UPDATE SET holder = excluded.holder, leased_until = excluded.leased_until
             WHERE outbox_leases.holder = excluded.holder OR outbox_leases.leased_until <= $6
                 OR outbox_leases.leased_until > $7",
            partition,
        );
        let mut session = self.database.write().await?;
        let statement = statement.bind(lease.holder.to_string()).bind(lease.until).bind(lease.now);
        let statement = statement.bind(lease.until + lease.length());
        let taken = session.execute(statement).await? == 1;
        session.commit().await?;
        Ok(taken)
    }

    async fn outbox_entries(
        &self,
        partition: &PartitionId,
        most_entries: u32,
        most_bytes: u64,
    ) -> Result<Vec<OutboxEntry>, ViewsError> {
        let mut session = self.database.snapshot().await?;
        let sizes = partitions::of(
            "SELECT CAST(COALESCE(LENGTH(payload), 0) AS BIGINT) AS payload_bytes FROM outbox
             WHERE stream = $1 AND source = $2 AND source_partition = $3
             ORDER BY source_offset, message_id LIMIT $4",
            partition,
        );
        let (mut fitting, mut bytes) = (0_u32, 0_u64);
        for row in session.fetch(sizes.bind(most_entries)).await? {
            bytes = bytes.saturating_add(row.count("payload_bytes")?);
            if fitting > 0 && bytes > most_bytes {
                break;
            }
            fitting += 1;
        }
        let entries = partitions::of(
            "SELECT source, source_partition, source_offset, message_id, topic, message_key, payload, headers
             FROM outbox WHERE stream = $1 AND source = $2 AND source_partition = $3
             ORDER BY source_offset, message_id LIMIT $4",
            partition,
        );
        session.fetch(entries.bind(fitting)).await?.iter().map(entry_of).collect()
    }

    async fn acknowledge_outbox(&self, partition: &PartitionId, delivered: &[OutboxEntry]) -> Result<u64, ViewsError> {
        let rows = delivered
            .iter()
            .map(|entry| {
                vec![
                    partition.stream.as_str().into(),
                    partition.source.as_str().into(),
                    partition.partition.into(),
                    entry.position.offset.as_i64().into(),
                    entry.id.as_str().into(),
                ]
            })
            .collect();
        let mut session = self.database.write().await?;
        let gone = session
            .bulk(Bulk::new(
                "DELETE FROM outbox
                 WHERE (stream, source, source_partition, source_offset, message_id) IN ({rows})",
                rows,
            ))
            .await?;
        session.commit().await?;
        Ok(gone)
    }

    async fn release_outbox(&self, partition: &PartitionId, holder: OwnerToken) -> Result<(), ViewsError> {
        let statement = partitions::of(
            "DELETE FROM outbox_leases WHERE stream = $1 AND source = $2 AND source_partition = $3 AND holder = $4",
            partition,
        );
        let mut session = self.database.write().await?;
        session.execute(statement.bind(holder.to_string())).await?;
        session.commit().await
    }

    async fn hold_outbox_below(&self, partition: &PartitionId, floor: Offset) -> Result<(), ViewsError> {
        let statement = partitions::of(
            "UPDATE partitions SET outbox_from = $4 WHERE stream = $1 AND source = $2 AND source_partition = $3",
            partition,
        );
        let mut session = self.database.write().await?;
        session.execute(statement.bind(floor.as_i64())).await?;
        session.commit().await
    }
}

fn entry_of(row: &Row) -> Result<OutboxEntry, ViewsError> {
    let headers = row.text("headers")?;
    Ok(OutboxEntry {
        position: row.position()?,
        id: row.text("message_id")?,
        topic: row.text("topic")?,
        key: row.optional_bytes("message_key")?,
        payload: row.optional_bytes("payload")?,
        headers: serde_json::from_str(&headers)
            .map_err(|_| corrupt("headers", &headers, "a JSON list of pairs is expected"))?,
    })
}
