//! Forecast vintages and their points.

use super::{Bulk, Row, Session, Statement, Value};
use crate::{
    forecast::{ForecastPoint, ForecastVintage},
    model::ModelId,
    position::{DeviceId, StreamName},
    views::ViewsError,
};

/// Adds a vintage; a known one is left as it is.
pub async fn add(session: &mut dyn Session, vintage: &ForecastVintage) -> Result<(), ViewsError> {
    let statement = Statement::new(
        "INSERT INTO forecasts (stream, device_id, measure, issued_at, model_id, lake_version, interval_level)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (stream, device_id, measure, issued_at, model_id) DO NOTHING RETURNING id",
    )
    .bind(vintage.stream.as_str())
    .bind(vintage.device.as_str())
    .bind(vintage.measure.as_str())
    .bind(vintage.issued_at)
    .bind(vintage.model_id.as_str())
    .bind(vintage.lake_version)
    .bind(vintage.interval_level);
    let Some(row) = session.fetch_optional(statement).await? else { return Ok(()) };
    let id = row.int("id")?;
    let points = vintage
        .points
        .iter()
        .map(|point| -> Vec<Value> {
            vec![
                id.into(),
                point.target_time.into(),
                point.horizon_hours.into(),
                point.value.into(),
                point.low.into(),
                point.high.into(),
            ]
        })
        .collect();
    session
        .bulk(Bulk::new(
            "INSERT INTO forecast_points (forecast_id, target_time, horizon_hours, value, low, high) {rows}",
            points,
        ))
        .await?;
    Ok(())
}

/// The newest vintage, of `device` or of all.
pub async fn newest(
    session: &mut dyn Session,
    stream: &StreamName,
    device: Option<&DeviceId>,
) -> Result<Option<ForecastVintage>, ViewsError> {
    let mut statement = Statement::new(
        "SELECT id, stream, device_id, measure, issued_at, model_id, lake_version, interval_level FROM forecasts
         WHERE stream = $1",
    )
    .bind(stream.as_str());
    if let Some(device) = device {
        statement.push_bind(" AND device_id = ", device.as_str());
    }
    // Two models may issue at one instant; the one that was added last is the newer one.
    statement.push(" ORDER BY issued_at DESC, id DESC LIMIT 1");
    let Some(row) = session.fetch_optional(statement).await? else { return Ok(None) };
    let points = Statement::new(
        "SELECT target_time, horizon_hours, value, low, high FROM forecast_points
         WHERE forecast_id = $1 ORDER BY target_time",
    );
    let points = session.fetch(points.bind(row.int("id")?)).await?;
    Ok(Some(ForecastVintage {
        stream: row.stream()?,
        device: row.device()?,
        measure: row.text("measure")?,
        issued_at: row.time("issued_at")?,
        model_id: ModelId::from_stored(row.text("model_id")?),
        lake_version: row.int("lake_version")?,
        interval_level: row.real("interval_level")?,
        points: points.iter().map(point_of).collect::<Result<_, _>>()?,
    }))
}

fn point_of(row: &Row) -> Result<ForecastPoint, ViewsError> {
    Ok(ForecastPoint {
        target_time: row.time("target_time")?,
        horizon_hours: row.small("horizon_hours")?,
        value: row.real("value")?,
        low: row.real("low")?,
        high: row.real("high")?,
    })
}
