//! Appends that go into one transaction: calls that arrive while the disk is busy share the next sync.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{
    chunk::{Chunk, join},
    error::translated,
};
use crate::{log::LogError, position::Offset};

/// What one call appends to one partition.
#[derive(Debug, Default)]
pub(super) struct PartitionAppend {
    pub(super) partition_id: i64,
    pub(super) records: u64,
    pub(super) chunks: Vec<Chunk>,
}

/// What a group appends to one partition, all calls together.
#[derive(Debug, Default)]
struct Joined {
    records: u64,
    chunks: Vec<Chunk>,
}

/// Appends the calls, in order, inside the caller's transaction. Gives for each call the first offset in each of its
/// partitions.
///
/// # Errors
/// Any error leaves the transaction to be rolled back.
pub(super) async fn append(
    transaction: &mut SqliteConnection,
    calls: Vec<Vec<PartitionAppend>>,
    logged_at: DateTime<Utc>,
) -> Result<Vec<Vec<Offset>>, LogError> {
    let mut partitions: BTreeMap<i64, Joined> = BTreeMap::new();
    // For each part of each call, its distance from the group's first offset in that partition.
    let mut distances = Vec::with_capacity(calls.len());
    for call in calls {
        let mut of_call = Vec::with_capacity(call.len());
        for part in call {
            let joined = partitions.entry(part.partition_id).or_default();
            of_call.push((part.partition_id, joined.records));
            joined.records += part.records;
            part.chunks.into_iter().for_each(|chunk| join(&mut joined.chunks, chunk));
        }
        distances.push(of_call);
    }
    let mut firsts = BTreeMap::new();
    for (partition_id, joined) in partitions {
        let first = take_offsets(transaction, partition_id, joined.records).await?;
        insert(transaction, partition_id, first, joined.chunks, logged_at).await?;
        firsts.insert(partition_id, first);
    }
    let offset_of =
        |(partition, distance)| firsts.get(&partition).map_or(Offset::ZERO, |first: &Offset| first.plus(distance));
    Ok(distances.into_iter().map(|of_call| of_call.into_iter().map(offset_of).collect()).collect())
}

async fn take_offsets(transaction: &mut SqliteConnection, partition_id: i64, records: u64) -> Result<Offset, LogError> {
    let first: Option<i64> = sqlx::query_scalar(
        "UPDATE partitions SET next_offset = next_offset + ?2 WHERE partition_id = ?1 RETURNING next_offset - ?2",
    )
    .bind(partition_id)
    .bind(Offset::new(records).as_i64())
    .fetch_optional(transaction)
    .await
    .map_err(translated)?;
    let first = first.ok_or_else(|| LogError::Unusable {
        reason: "the log's file was replaced while it was open; start again".to_owned(),
    })?;
    Offset::try_from_i64(first).map_err(|invalid| LogError::Unusable { reason: invalid.to_string() })
}

async fn insert(
    transaction: &mut SqliteConnection,
    partition_id: i64,
    first: Offset,
    chunks: Vec<Chunk>,
    logged_at: DateTime<Utc>,
) -> Result<(), LogError> {
    let mut offset = first;
    for chunk in chunks {
        sqlx::query(
            "INSERT INTO chunks (partition_id, first_offset, records, logged_at_us, body) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(partition_id)
        .bind(offset.as_i64())
        .bind(i64::from(chunk.records))
        .bind(logged_at.timestamp_micros())
        .bind(chunk.body)
        .execute(&mut *transaction)
        .await
        .map_err(translated)?;
        offset = offset.plus(u64::from(chunk.records));
    }
    Ok(())
}
