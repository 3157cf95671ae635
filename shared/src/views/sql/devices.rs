//! Devices, and the newest event time that each layer saw.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Bulk, Row, Session, Statement, Value};
use crate::{
    position::{DeviceId, StreamName},
    views::{StageId, ViewsError},
};

/// Notes what speed saw. An older time changes nothing.
pub async fn seen_by_speed(
    session: &mut dyn Session,
    stream: &StreamName,
    seen: &[(DeviceId, DateTime<Utc>)],
) -> Result<(), ViewsError> {
    // Members of different partitions may see one device: rows that are locked in one order cannot deadlock.
    let mut newest = BTreeMap::new();
    for (device, event_time) in seen {
        let entry = newest.entry(device).or_insert(*event_time);
        *entry = (*entry).max(*event_time);
    }
    let rows = newest
        .into_iter()
        .map(|(device, event_time)| -> Vec<Value> {
            vec![stream.as_str().into(), device.as_str().into(), event_time.into()]
        })
        .collect();
    session
        .bulk(Bulk::new(
            "INSERT INTO devices (stream, device_id, speed_event_time) {rows}
             ON CONFLICT (stream, device_id) DO UPDATE SET speed_event_time = excluded.speed_event_time
             WHERE devices.speed_event_time IS NULL OR devices.speed_event_time < excluded.speed_event_time",
            rows,
        ))
        .await?;
    Ok(())
}

/// Forgets what batch saw, but for the windows before the floor, before a full recomputation says it anew.
pub async fn forget_batch(
    session: &mut dyn Session,
    stream: &StreamName,
    floor: Option<DateTime<Utc>>,
) -> Result<(), ViewsError> {
    let forget = match floor {
        None => Statement::new("UPDATE devices SET batch_event_time = NULL WHERE stream = $1").bind(stream.as_str()),
        Some(floor) => Statement::new(
            "UPDATE devices SET batch_event_time = (SELECT MAX(window_start) FROM rollup_batch b
                 WHERE b.stream = devices.stream AND b.device_id = devices.device_id AND b.window_start < $2)
             WHERE stream = $1 AND batch_event_time IS NOT NULL",
        )
        .bind(stream.as_str())
        .bind(floor),
    };
    session.execute(forget).await?;
    let unseen = "DELETE FROM devices WHERE stream = $1 AND speed_event_time IS NULL AND batch_event_time IS NULL";
    session.execute(Statement::new(unseen).bind(stream.as_str())).await?;
    Ok(())
}

/// Notes what batch saw: a window holds no event time, so its start stands for it.
pub async fn seen_in_stage(session: &mut dyn Session, stream: &StreamName, stage: StageId) -> Result<(), ViewsError> {
    let statement = Statement::new(
        "INSERT INTO devices (stream, device_id, batch_event_time)
         SELECT stream, device_id, MAX(window_start) FROM rollup_stage
         WHERE stage_id = $1 AND stream = $2 GROUP BY stream, device_id ORDER BY device_id
         ON CONFLICT (stream, device_id) DO UPDATE SET batch_event_time = excluded.batch_event_time
         WHERE devices.batch_event_time IS NULL OR devices.batch_event_time < excluded.batch_event_time",
    );
    session.execute(statement.bind(stage.0.to_string()).bind(stream.as_str())).await?;
    Ok(())
}

/// The statement of a page of devices.
pub fn page(stream: &StreamName, after: Option<&DeviceId>, limit: u32) -> Statement {
    let mut statement = Statement::new(
        "SELECT device_id, CASE WHEN batch_event_time IS NULL OR speed_event_time >= batch_event_time
             THEN speed_event_time ELSE batch_event_time END AS newest_event_time
         FROM devices WHERE stream = $1",
    )
    .bind(stream.as_str());
    if let Some(after) = after {
        statement.push_bind(" AND device_id > ", after.as_str());
    }
    statement.push_bind(" ORDER BY device_id LIMIT ", limit);
    statement
}

/// A device of that page.
pub fn device_of(row: &Row) -> Result<(DeviceId, DateTime<Utc>), ViewsError> {
    Ok((row.device()?, row.time("newest_event_time")?))
}
