//! The boundary, the stage, and the move of one and the other that makes a publication.

use chrono::{DateTime, Utc};

use super::{Bulk, Session, Statement, Value, aging, devices, partitions, rollups};
use crate::{
    checkpoint::{Boundary, SourcePartition},
    position::{DeviceId, Offset, PartitionId, StreamName},
    rollup::RollupRow,
    views::{BoundaryInfo, Publication, ReplacedWindows, StageId, ViewsError},
};

/// The boundary of a stream, and when it was published.
pub async fn boundary(session: &mut dyn Session, stream: &StreamName) -> Result<BoundaryInfo, ViewsError> {
    let published = Statement::new("SELECT lake_version, published_at FROM boundaries WHERE stream = $1");
    let row = session.fetch_optional(published.bind(stream.as_str())).await?;
    let (lake_version, published_at) = match row {
        Some(row) => (row.optional_int("lake_version")?, row.optional_time("published_at")?),
        None => (None, None),
    };
    let ends =
        Statement::new("SELECT source, source_partition, boundary_offset FROM boundary_partitions WHERE stream = $1");
    let rows = session.fetch(ends.bind(stream.as_str())).await?;
    let partitions = rows
        .iter()
        .map(|row| {
            let partition = SourcePartition { source: row.source()?, partition: row.small("source_partition")? };
            Ok((partition, row.offset("boundary_offset")?))
        })
        .collect::<Result<_, ViewsError>>()?;
    Ok(BoundaryInfo { boundary: Boundary { lake_version, partitions }, published_at })
}

/// What the published windows were computed for, as their publication said.
pub async fn shape(session: &mut dyn Session, stream: &StreamName) -> Result<Option<String>, ViewsError> {
    // Of another publication it tells nothing: that was made by a build that does not know of shapes.
    let statement = Statement::new("SELECT shape FROM boundaries WHERE stream = $1 AND shaped_at = published_at")
        .bind(stream.as_str());
    let row = session.fetch_optional(statement).await?;
    Ok(row.map(|row| row.optional_text("shape")).transpose()?.flatten())
}

/// Puts rows on the stage; a row that is there already is replaced, so that a try whose answer was lost may be repeated.
pub async fn stage(
    session: &mut dyn Session,
    stage: StageId,
    stream: &StreamName,
    rows: &[RollupRow],
    now: DateTime<Utc>,
) -> Result<(), ViewsError> {
    let statement = Bulk::new(
        "INSERT INTO rollup_stage (stage_id, staged_at, stream, device_id, window_secs, window_start, measure, group_key,
             value_count, value_sum, value_min, value_max, value_sum_squares)
         {rows}
         ON CONFLICT (stage_id, stream, device_id, window_secs, window_start, measure, group_key)
         DO UPDATE SET value_count = excluded.value_count, value_sum = excluded.value_sum,
             value_min = excluded.value_min, value_max = excluded.value_max,
             value_sum_squares = excluded.value_sum_squares, staged_at = excluded.staged_at",
        rows.iter().map(rollups::values).collect(),
    );
    let common = vec![stage.0.to_string().into(), now.into(), stream.as_str().into()];
    session.bulk(statement.each_begins_with(common)).await?;
    Ok(())
}

/// Takes the boundary's row, which no other publication can have before this transaction ends.
pub async fn lock_boundary(session: &mut dyn Session, stream: &StreamName) -> Result<(), ViewsError> {
    let statement = Statement::new(
        "INSERT INTO boundaries (stream) VALUES ($1) ON CONFLICT (stream) DO UPDATE SET stream = excluded.stream",
    );
    session.execute(statement.bind(stream.as_str())).await?;
    Ok(())
}

/// Why the publication must not happen, if so. The boundary's row is locked.
pub async fn objection(session: &mut dyn Session, publication: &Publication) -> Result<Option<String>, ViewsError> {
    let current = boundary(session, &publication.stream).await?.boundary;
    if current != publication.expected {
        return Ok(Some("the boundary is not the expected one any more: another job published meanwhile".to_owned()));
    }
    if shape(session, &publication.stream).await? != publication.shape.expected {
        return Ok(Some("the windows were published for another profile meanwhile".to_owned()));
    }
    for (partition, end) in &current.partitions {
        match publication.next.partitions.get(partition) {
            Some(next) if next >= end => {}
            Some(next) => {
                return Ok(Some(format!("{} would go back from {end} to {next}", String::from(partition.clone()))));
            }
            None => return Ok(Some(format!("{} would be forgotten", String::from(partition.clone())))),
        }
    }
    for (partition, end) in &publication.next.partitions {
        let moved = current.partitions.get(partition) != Some(end);
        if moved && !is_cut(session, &publication.stream, partition, *end).await? {
            return Ok(Some(format!("{end} is not a recorded cut of {}", String::from(partition.clone()))));
        }
    }
    Ok(None)
}

/// Without statistics SQLite would look at every row; CROSS JOIN makes it look up the listed ones.
const FORGET_TOUCHED: &str = "WITH touched (stream, device_id, window_secs, window_start) AS ({rows})
     DELETE FROM rollup_batch
     WHERE (stream, device_id, window_secs, window_start, measure, group_key) IN (
         SELECT b.stream, b.device_id, b.window_secs, b.window_start, b.measure, b.group_key
         FROM touched t CROSS JOIN rollup_batch b
         WHERE b.stream = t.stream AND b.device_id = t.device_id
             AND b.window_secs = t.window_secs AND b.window_start = t.window_start)";

/// Postgres guesses from arrays and a table that was just filled how many rows a join gives, and a wrong guess reads a million
/// rows for each listed one. So it is told to look up each by itself: OFFSET keeps it from planning a join after all.
const FORGET_TOUCHED_ON_POSTGRES: &str = "DELETE FROM rollup_batch WHERE ctid = ANY (ARRAY (
         SELECT b.ctid
         FROM ({rows}) AS touched (stream, device_id, window_secs, window_start)
         CROSS JOIN LATERAL (
             SELECT r.ctid FROM rollup_batch r
             WHERE r.stream = touched.stream AND r.device_id = touched.device_id
                 AND r.window_secs = touched.window_secs AND r.window_start = touched.window_start
             OFFSET 0
         ) b))";

/// Puts the staged rows in the place of what they replace, and moves the boundary. Windows below the floors of their age
/// stay as they are, for the readings of some of them are gone.
pub async fn replace(
    session: &mut dyn Session,
    publication: &Publication,
    now: DateTime<Utc>,
) -> Result<(), ViewsError> {
    let stream = &publication.stream;
    let floor = aging::floors(session, stream).await?.of_computed_windows();
    let mut indexes = Vec::new();
    match &publication.replaces {
        ReplacedWindows::All => {
            if is_alone(session, stream).await? {
                indexes = session.drop_indexes("rollup_batch").await?;
            }
            forget_windows(session, stream, floor).await?;
        }
        ReplacedWindows::Touched(windows) => {
            let rows = windows
                .iter()
                .filter(|(_, _, start)| floor.is_none_or(|floor| *start >= floor))
                .map(|(device, window_secs, start)| -> Vec<Value> {
                    vec![stream.as_str().into(), device.as_str().into(), (*window_secs).into(), (*start).into()]
                })
                .collect();
            session.bulk(Bulk::new(FORGET_TOUCHED, rows).on_postgres(FORGET_TOUCHED_ON_POSTGRES)).await?;
        }
    }
    // A staged window that is not among the replaced ones replaces what is there all the same. An index is filled fastest in
    // its own order.
    let mut fill = Statement::new(
        "INSERT INTO rollup_batch (stream, device_id, window_secs, window_start, measure, group_key,
             value_count, value_sum, value_min, value_max, value_sum_squares)
         SELECT stream, device_id, window_secs, window_start, measure, group_key,
             value_count, value_sum, value_min, value_max, value_sum_squares
         FROM rollup_stage WHERE stage_id = $1 AND stream = $2",
    )
    .bind(publication.stage.0.to_string())
    .bind(stream.as_str());
    if let Some(floor) = floor {
        fill.push_bind(" AND window_start >= ", floor);
    }
    fill.push(
        " ORDER BY device_id, window_secs, window_start, measure, group_key
         ON CONFLICT (stream, device_id, window_secs, window_start, measure, group_key)
         DO UPDATE SET value_count = excluded.value_count, value_sum = excluded.value_sum,
             value_min = excluded.value_min, value_max = excluded.value_max,
             value_sum_squares = excluded.value_sum_squares",
    );
    session.execute(fill).await?;
    session.build_indexes(indexes).await?;
    devices::seen_in_stage(session, stream, publication.stage).await?;
    let moved = Statement::new(
        "UPDATE boundaries SET lake_version = $2, published_at = $3, shape = $4, shaped_at = $5 WHERE stream = $1",
    )
    .bind(stream.as_str())
    .bind(publication.next.lake_version)
    .bind(now)
    .bind(publication.shape.next.clone())
    .bind(now);
    session.execute(moved).await?;
    let ends = publication
        .next
        .partitions
        .iter()
        .map(|(partition, end)| -> Vec<Value> {
            vec![
                stream.as_str().into(),
                partition.source.as_str().into(),
                partition.partition.into(),
                end.as_i64().into(),
            ]
        })
        .collect();
    session
        .bulk(Bulk::new(
            "INSERT INTO boundary_partitions (stream, source, source_partition, boundary_offset) {rows}
             ON CONFLICT (stream, source, source_partition)
             DO UPDATE SET boundary_offset = excluded.boundary_offset",
            ends,
        ))
        .await?;
    Ok(())
}

/// Deletes what batch published from a floor on, or all of it, before a computation says it anew.
pub async fn forget_windows(
    session: &mut dyn Session,
    stream: &StreamName,
    floor: Option<DateTime<Utc>>,
) -> Result<(), ViewsError> {
    let mut statement = Statement::new("DELETE FROM rollup_batch WHERE stream = $1").bind(stream.as_str());
    if let Some(floor) = floor {
        statement.push_bind(" AND window_start >= ", floor);
    }
    session.execute(statement).await?;
    devices::forget_batch(session, stream, floor).await
}

/// Whether no other stream has published windows, whose part of an index would be built anew as well.
async fn is_alone(session: &mut dyn Session, stream: &StreamName) -> Result<bool, ViewsError> {
    let other =
        Statement::new("SELECT 1 AS one FROM boundaries WHERE stream <> $1 AND published_at IS NOT NULL LIMIT 1");
    Ok(session.fetch_optional(other.bind(stream.as_str())).await?.is_none())
}

/// Clears a stage.
pub async fn drop_stage(session: &mut dyn Session, stage: StageId) -> Result<(), ViewsError> {
    let statement = Statement::new("DELETE FROM rollup_stage WHERE stage_id = $1");
    session.execute(statement.bind(stage.0.to_string())).await?;
    Ok(())
}

/// Clears what was staged before `before`: its job is gone.
pub async fn drop_stages_before(session: &mut dyn Session, before: DateTime<Utc>) -> Result<u64, ViewsError> {
    session.execute(Statement::new("DELETE FROM rollup_stage WHERE staged_at < $1").bind(before)).await
}

/// Clears what was staged of a device before `before`.
pub async fn drop_staged_of(
    session: &mut dyn Session,
    stream: &StreamName,
    device: &DeviceId,
    before: DateTime<Utc>,
) -> Result<(), ViewsError> {
    let statement = Statement::new("DELETE FROM rollup_stage WHERE stream = $1 AND device_id = $2 AND staged_at < $3");
    session.execute(statement.bind(stream.as_str()).bind(device.as_str()).bind(before)).await?;
    Ok(())
}

async fn is_cut(
    session: &mut dyn Session,
    stream: &StreamName,
    partition: &SourcePartition,
    offset: Offset,
) -> Result<bool, ViewsError> {
    let partition =
        PartitionId { stream: stream.clone(), source: partition.source.clone(), partition: partition.partition };
    Ok(partitions::last_cut_at_or_below(session, &partition, offset).await? == Some(offset))
}
