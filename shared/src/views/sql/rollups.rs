//! Roll-ups of speed, and their merge with those of batch.

use std::{borrow::Cow, collections::BTreeMap};

use super::{Bulk, Row, Session, Statement, Value, partitions};
use crate::{
    position::{Offset, PartitionId, StreamName},
    rollup::{Partial, RollupKey, RollupRow},
    views::{AgeFloors, Aged, UsageQuery, UsageWindow, ViewsError},
};

/// Adds what windows gain in the segment that the cut `tag` opened.
pub async fn add_deltas(
    session: &mut dyn Session,
    partition: &PartitionId,
    tag: Offset,
    deltas: &[RollupRow],
) -> Result<(), ViewsError> {
    let segment: Vec<Value> = vec![
        partition.stream.as_str().into(),
        partition.source.as_str().into(),
        partition.partition.into(),
        tag.as_i64().into(),
    ];
    let rows = one_a_key(deltas).iter().map(values).collect();
    let statement = Bulk::new(
        "INSERT INTO rollup_speed (stream, source, source_partition, tag, device_id, window_secs, window_start, measure,
             group_key, value_count, value_sum, value_min, value_max, value_sum_squares)
         {rows}
         ON CONFLICT (stream, device_id, window_secs, window_start, measure, group_key, source, source_partition, tag)
         DO UPDATE SET value_count = rollup_speed.value_count + excluded.value_count,
             value_sum = rollup_speed.value_sum + excluded.value_sum,
             value_min = CASE WHEN excluded.value_min < rollup_speed.value_min
                 THEN excluded.value_min ELSE rollup_speed.value_min END,
             value_max = CASE WHEN excluded.value_max > rollup_speed.value_max
                 THEN excluded.value_max ELSE rollup_speed.value_max END,
             value_sum_squares = rollup_speed.value_sum_squares + excluded.value_sum_squares",
        rows,
    );
    session.bulk(statement.each_begins_with(segment)).await?;
    Ok(())
}

/// The merged windows: batch rows, and the speed rows whose tag is at or above their partition's boundary. Where windows
/// are not computed any more, batch never takes over what speed has, so what was published stands alone.
pub async fn merged(
    session: &mut dyn Session,
    query: &UsageQuery,
    floors: &AgeFloors,
) -> Result<Vec<UsageWindow>, ViewsError> {
    // Windows below their floor go some at a time, and are gone at once.
    let from = floors.of(Aged::Windows).map_or(query.from, |floor| query.from.max(floor));
    let mut statement = Statement::new(
        "SELECT window_start, CAST(SUM(value_count) AS BIGINT) AS value_count, SUM(value_sum) AS value_sum,
             MIN(value_min) AS value_min, MAX(value_max) AS value_max, SUM(value_sum_squares) AS value_sum_squares,
             CAST(SUM(batch_count) AS BIGINT) AS batch_count
         FROM (
             SELECT window_start, value_count, value_sum, value_min, value_max, value_sum_squares,
                 value_count AS batch_count
             FROM rollup_batch
             WHERE stream = $1 AND window_secs = $2 AND measure = $3 AND window_start >= $4 AND window_start < $5",
    )
    .bind(query.stream.as_str())
    .bind(query.window_secs)
    .bind(query.measure.as_str())
    .bind(from)
    .bind(query.until);
    // Each of the two is bound once and stands in both halves.
    let device = query.device.as_ref().map(|device| statement.bound(device.as_str()));
    let group = query.group.as_ref().map(|group| statement.bound(group.as_str()));
    let narrow = |statement: &mut Statement| {
        if let Some(number) = device {
            statement.push_number(" AND device_id = ", number);
        }
        if let Some(number) = group {
            statement.push_number(" AND group_key = ", number);
        }
    };
    narrow(&mut statement);
    statement.push(
        " UNION ALL
             SELECT window_start, value_count, value_sum, value_min, value_max, value_sum_squares, 0 AS batch_count
             FROM rollup_speed s
             LEFT JOIN boundary_partitions b
                 ON b.stream = s.stream AND b.source = s.source AND b.source_partition = s.source_partition
             WHERE s.stream = $1 AND s.window_secs = $2 AND s.measure = $3
                 AND s.window_start >= $4 AND s.window_start < $5
                 AND (b.boundary_offset IS NULL OR s.tag >= b.boundary_offset)",
    );
    narrow(&mut statement);
    if let Some(floor) = floors.of_computed_windows() {
        statement.push_bind(" AND s.window_start >= ", floor);
    }
    statement.push_bind(
        " ) layers GROUP BY window_start HAVING SUM(value_count) > 0 ORDER BY window_start LIMIT ",
        query.limit,
    );
    let rows = session.fetch(statement).await?;
    rows.iter()
        .map(|row| {
            Ok(UsageWindow {
                start: row.time("window_start")?,
                partial: row.partial()?,
                batch_count: row.count("batch_count")?,
            })
        })
        .collect()
}

/// A page of the published rows, in the order of their keys.
pub fn published(stream: &StreamName, after: Option<&RollupKey>, limit: u32) -> Statement {
    let mut statement = Statement::new(
        "SELECT device_id, window_secs, window_start, measure, group_key,
             value_count, value_sum, value_min, value_max, value_sum_squares
         FROM rollup_batch WHERE stream = $1",
    )
    .bind(stream.as_str());
    if let Some(key) = after {
        statement.push_bind(" AND (device_id, window_secs, window_start, measure, group_key) > (", key.device.as_str());
        statement.push_bind(", ", key.window_secs);
        statement.push_bind(", ", key.window_start);
        statement.push_bind(", ", key.measure.as_str());
        statement.push_bind(", ", key.group.as_str());
        statement.push(")");
    }
    statement.push_bind(" ORDER BY device_id, window_secs, window_start, measure, group_key LIMIT ", limit);
    statement
}

/// A row of such a page.
pub fn published_row(row: &Row) -> Result<RollupRow, ViewsError> {
    let key = RollupKey {
        device: row.device()?,
        window_secs: row.small("window_secs")?,
        window_start: row.time("window_start")?,
        measure: row.text("measure")?,
        group: row.text("group_key")?,
    };
    Ok(RollupRow { key, partial: row.partial()? })
}

/// Deletes the speed rows that batch has seen. The boundary is read in the very statement: one that a job remembers
/// may be newer than what a restored backup holds.
pub async fn drop_seen(session: &mut dyn Session, partition: &PartitionId) -> Result<u64, ViewsError> {
    let statement = partitions::of(
        "DELETE FROM rollup_speed WHERE stream = $1 AND source = $2 AND source_partition = $3 AND tag <
             (SELECT boundary_offset FROM boundary_partitions
              WHERE stream = $1 AND source = $2 AND source_partition = $3)",
        partition,
    );
    session.execute(statement).await
}

/// A row without its stream: the five columns of the key and the five of the partial.
pub fn values(RollupRow { key, partial }: &RollupRow) -> Vec<Value> {
    vec![
        key.device.as_str().into(),
        key.window_secs.into(),
        key.window_start.into(),
        key.measure.as_str().into(),
        key.group.as_str().into(),
        partial.count.into(),
        partial.sum.into(),
        partial.min.into(),
        partial.max.into(),
        partial.sum_squares.into(),
    ]
}

/// One statement may not touch a row twice (Postgres), and rows locked in one order cannot deadlock. Speed brings them
/// so.
fn one_a_key(deltas: &[RollupRow]) -> Cow<'_, [RollupRow]> {
    if deltas.is_sorted_by(|a, b| a.key < b.key) {
        return Cow::Borrowed(deltas);
    }
    let mut merged: BTreeMap<&RollupKey, Partial> = BTreeMap::new();
    for delta in deltas {
        merged.entry(&delta.key).or_insert(Partial::EMPTY).merge(&delta.partial);
    }
    merged.into_iter().map(|(key, partial)| RollupRow { key: key.clone(), partial }).collect()
}
