//! Erasures of devices, one transaction each.

use async_trait::async_trait;

use super::{
    Bulk, Database, Row, Session, SqlViews, Statement, Value, partitions,
    positions::{live_owner, put_out_of_office},
    publication,
};
use crate::{
    position::{DeviceId, Offset, PartitionId, SourcePosition, StreamName},
    views::{Audit, DeviceErasure, DeviceRows, EraseOutcome, ErasedRows, ErasureViews, RecordedErasure, ViewsError},
};

#[async_trait]
impl<D: Database> ErasureViews for SqlViews<D> {
    async fn device_rows(&self, stream: &StreamName, device: &DeviceId) -> Result<DeviceRows, ViewsError> {
        let count = Statement::new(
            "SELECT (SELECT COUNT(*) FROM anomalies WHERE stream = $1 AND device_id = $2) AS anomalies,
                 (SELECT COUNT(*) FROM rollup_speed WHERE stream = $1 AND device_id = $2) AS speed_windows,
                 (SELECT COUNT(*) FROM forecasts WHERE stream = $1 AND device_id = $2) AS forecasts,
                 (SELECT COUNT(*) FROM outbox WHERE stream = $1 AND message_key = $3) AS outbox,
                 (SELECT COUNT(*) FROM rollup_batch WHERE stream = $1 AND device_id = $2 AND window_start <
                      (SELECT MAX(floor_at) FROM age_floors WHERE stream = $1 AND aged IN ('readings', 'windows')))
                     AS kept_windows",
        );
        let count = count.bind(stream.as_str()).bind(device.as_str()).bind(device.as_str().as_bytes());
        let Some(row) = self.database.fetch_optional(count).await? else { return Ok(DeviceRows::default()) };
        Ok(DeviceRows {
            anomalies: row.count("anomalies")?,
            speed_windows: row.count("speed_windows")?,
            forecasts: row.count("forecasts")?,
            outbox: row.count("outbox")?,
            kept_windows: row.count("kept_windows")?,
        })
    }

    async fn erase_device(&self, erasure: &DeviceErasure) -> Result<EraseOutcome, ViewsError> {
        let mut session = self.database.write().await?;
        let tx = session.as_mut();
        for (partition, applied) in &erasure.partitions {
            // The first statement takes the row: an owner's transaction is before it or after it.
            let is_there = stands_at(tx, partition, *applied).await?;
            if let Some(seen_at) = live_owner(tx, partition, &erasure.audit).await? {
                return Ok(EraseOutcome::LiveOwner { partition: partition.clone(), seen_at });
            }
            if !is_there {
                return Ok(EraseOutcome::Elsewhere { partition: partition.clone() });
            }
            put_out_of_office(tx, partition).await?;
        }
        let rows = delete_rows(tx, &erasure.stream, &erasure.device).await?;
        delete_letters(tx, &erasure.stream, &erasure.dead_letters).await?;
        publication::drop_staged_of(tx, &erasure.stream, &erasure.device, erasure.audit.at).await?;
        record(tx, erasure, rows).await?;
        session.commit().await?;
        Ok(EraseOutcome::Erased(rows))
    }

    async fn overwrite_deleted(&self) -> Result<(), ViewsError> {
        self.database.overwrite_deleted().await
    }

    async fn erased_on_record(&self, stream: &StreamName, device: &DeviceId) -> Result<ErasedRows, ViewsError> {
        let sums = Statement::new(
            "SELECT CAST(COALESCE(SUM(readings), 0) AS BIGINT) AS readings,
                 CAST(COALESCE(SUM(dead_letters), 0) AS BIGINT) AS letters
             FROM erasures WHERE stream = $1 AND device_sha256 = $2",
        );
        let row = self.database.fetch_optional(sums.bind(stream.as_str()).bind(device.sha256())).await?;
        let Some(row) = row else { return Ok(ErasedRows::default()) };
        Ok(ErasedRows { readings: row.count("readings")?, letters: row.count("letters")? })
    }

    async fn erasures(&self, stream: &StreamName, limit: u32) -> Result<Vec<RecordedErasure>, ViewsError> {
        let statement = Statement::new(
            "SELECT stream, device_sha256, readings, dead_letters, anomalies, forecasts, erased_at, erased_by, reason
             FROM erasures WHERE stream = $1 ORDER BY erased_at DESC, id DESC LIMIT $2",
        );
        let rows = self.database.fetch(statement.bind(stream.as_str()).bind(limit)).await?;
        rows.iter().map(erasure_of).collect()
    }
}

async fn stands_at(session: &mut dyn Session, partition: &PartitionId, applied: Offset) -> Result<bool, ViewsError> {
    let statement = partitions::of(
        "UPDATE partitions SET applied_offset = applied_offset
         WHERE stream = $1 AND source = $2 AND source_partition = $3 AND applied_offset = $4",
        partition,
    );
    Ok(session.execute(statement.bind(applied.as_i64())).await? == 1)
}

async fn delete_rows(
    session: &mut dyn Session,
    stream: &StreamName,
    device: &DeviceId,
) -> Result<DeviceRows, ViewsError> {
    const POINTS: &str = "DELETE FROM forecast_points
        WHERE forecast_id IN (SELECT id FROM forecasts WHERE stream = $1 AND device_id = $2)";
    // A device whose windows batch has published again, because readings came after the erasure began, stays known.
    const KNOWN: &str = "DELETE FROM devices WHERE stream = $1 AND device_id = $2 AND NOT EXISTS (
        SELECT 1 FROM rollup_batch WHERE stream = $1 AND device_id = $2)";
    // No roll-up computes them, so none leaves them out.
    const KEPT_WINDOWS: &str = "DELETE FROM rollup_batch WHERE stream = $1 AND device_id = $2 AND window_start <
        (SELECT MAX(floor_at) FROM age_floors WHERE stream = $1 AND aged IN ('readings', 'windows'))";
    let mut delete = async |text: &'static str, device: Value| {
        session.execute(Statement::new(text).bind(stream.as_str()).bind(device)).await
    };
    let name = || Value::from(device.as_str());
    delete(POINTS, name()).await?;
    let kept_windows = delete(KEPT_WINDOWS, name()).await?;
    delete(KNOWN, name()).await?;
    Ok(DeviceRows {
        anomalies: delete("DELETE FROM anomalies WHERE stream = $1 AND device_id = $2", name()).await?,
        speed_windows: delete("DELETE FROM rollup_speed WHERE stream = $1 AND device_id = $2", name()).await?,
        forecasts: delete("DELETE FROM forecasts WHERE stream = $1 AND device_id = $2", name()).await?,
        outbox: delete(
            "DELETE FROM outbox WHERE stream = $1 AND message_key = $2",
            Value::from(device.as_str().as_bytes()),
        )
        .await?,
        kept_windows,
    })
}

/// Dead letters, and what the outbox still tells of them.
async fn delete_letters(
    session: &mut dyn Session,
    stream: &StreamName,
    letters: &[SourcePosition],
) -> Result<(), ViewsError> {
    const LETTERS: [&str; 2] = [
        "DELETE FROM dead_letters WHERE (stream, source, source_partition, source_offset) IN ({rows})",
        "DELETE FROM outbox WHERE (stream, source, source_partition, source_offset) IN ({rows})",
    ];
    for text in LETTERS {
        let rows = letters.iter().map(|position| -> Vec<Value> {
            vec![position.source.as_str().into(), position.partition.into(), position.offset.as_i64().into()]
        });
        session.bulk(Bulk::new(text, rows.collect()).each_begins_with(vec![stream.as_str().into()])).await?;
    }
    Ok(())
}

async fn record(session: &mut dyn Session, erasure: &DeviceErasure, rows: DeviceRows) -> Result<(), ViewsError> {
    let Audit { at, by, reason } = &erasure.audit;
    let statement = Statement::new(
        "INSERT INTO erasures
             (stream, device_sha256, readings, dead_letters, anomalies, forecasts, erased_at, erased_by, reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(erasure.stream.as_str())
    .bind(erasure.device.sha256())
    .bind(erasure.rows.readings)
    .bind(erasure.rows.letters)
    .bind(rows.anomalies)
    .bind(rows.forecasts)
    .bind(*at)
    .bind(by.as_str())
    .bind(reason.as_str());
    session.execute(statement).await?;
    Ok(())
}

fn erasure_of(row: &Row) -> Result<RecordedErasure, ViewsError> {
    Ok(RecordedErasure {
        stream: row.stream()?,
        device_sha256: row.text("device_sha256")?,
        readings: row.count("readings")?,
        dead_letters: row.count("dead_letters")?,
        anomalies: row.count("anomalies")?,
        forecasts: row.count("forecasts")?,
        audit: Audit { at: row.time("erased_at")?, by: row.text("erased_by")?, reason: row.text("reason")? },
    })
}
