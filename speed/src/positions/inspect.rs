//! How a partition is, as log, lake and views tell, without touching it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    checkpoint::SourcePartition,
    lake::LakeTable,
    log::{LogError, ReadLimit, Watermarks},
    position::{Offset, PartitionId},
    views::{OWNER_GONE_AFTER, PositionViews},
};
use serde::Serialize;

use super::{PositionError, known::recorded};
use crate::{
    error::StepError,
    member::{Doors, StopReason, examine},
};

/// How long the log may take to bring a message that its watermarks promise.
const READ_WAIT: Duration = Duration::from_secs(2);

/// One partition, looked at from outside.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Which one.
    pub partition: PartitionId,
    /// When its owner was seen last; `None` if nobody owns it.
    pub owner_seen_at: Option<DateTime<Utc>>,
    /// Whether that is recent enough to say that somebody works on it.
    pub live: bool,
    /// A; `None` if it was never claimed.
    pub applied: Option<Offset>,
    /// L, if the lake holds anything of it.
    pub closed: Option<Offset>,
    /// The first offset that batch has not published.
    pub boundary: Option<Offset>,
    /// The first offset that the log has.
    pub low: Offset,
    /// The offset that the next message gets.
    pub high: Offset,
    /// Offsets from the oldest message that is not applied to the end.
    pub lag_records: u64,
    /// Age of that message in seconds, by the log's timestamp.
    pub lag_seconds: f64,
    /// Why a member would stop at it, if one would.
    pub stop: Option<StopReason>,
}

/// Looks at a partition.
///
/// # Errors
/// Of log, lake or views.
pub async fn inspect(
    doors: &Doors,
    positions: &dyn PositionViews,
    partition: &PartitionId,
    now: DateTime<Utc>,
) -> Result<Inspection, PositionError> {
    let state = doors.views.partition(partition).await?;
    let owner_seen_at = positions.owner_seen_at(partition).await?;
    let log_partition = SourcePartition::from(partition);
    let closed = doors.lake.snapshot(&partition.stream, LakeTable::Readings).await?.closed_to(partition);
    let boundary = doors.boundaries.boundary(&partition.stream).await?.partitions.get(&log_partition).copied();
    let ends = doors.log.watermarks(&log_partition).await?;
    let applied = state.as_ref().map(|state| state.applied);
    let oldest = oldest_unapplied(doors, &log_partition, applied.unwrap_or(ends.low), ends).await?;
    let mut stop = None;
    if let Some(state) = &state
        && let Some(cuts) = recorded(partition, &state.cuts)?
    {
        stop = examine(doors, partition, state, &cuts).await?.err();
    }
    Ok(Inspection {
        partition: partition.clone(),
        owner_seen_at,
        live: owner_seen_at.is_some_and(|seen_at| now - seen_at < OWNER_GONE_AFTER),
        applied,
        closed,
        boundary,
        low: ends.low,
        high: ends.high,
        lag_records: oldest.map_or(0, |(offset, _)| ends.high.get().saturating_sub(offset.get())),
        lag_seconds: oldest.map_or(0.0, |(_, at)| (now - at).to_std().unwrap_or_default().as_secs_f64()),
        stop,
    })
}

/// The first message at or above `from`. Marks of transactions are none, so a partition may have no lag below its end.
async fn oldest_unapplied(
    doors: &Doors,
    partition: &SourcePartition,
    from: Offset,
    ends: Watermarks,
) -> Result<Option<(Offset, DateTime<Utc>)>, StepError> {
    let one = ReadLimit { records: 1, bytes: usize::MAX, before: None };
    let mut at = from.max(ends.low);
    while at < ends.high {
        let fetched = match doors.log.read(partition, at, one, READ_WAIT).await {
            Ok(fetched) => fetched,
            // Retention passed it between two looks.
            Err(LogError::OutOfRange { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if let Some(record) = fetched.records.first() {
            return Ok(Some((record.offset, record.timestamp)));
        }
        if fetched.next <= at {
            return Ok(None);
        }
        at = fetched.next;
    }
    Ok(None)
}
