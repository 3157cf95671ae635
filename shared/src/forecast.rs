//! A forecast as it was issued: a vintage, never overwritten.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::ModelId,
    position::{DeviceId, StreamName},
};

/// All hours ahead that one model said at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecastVintage {
    /// The stream.
    pub stream: StreamName,
    /// The device.
    pub device: DeviceId,
    /// The measure that is forecast.
    pub measure: String,
    /// When it was issued. Nothing known later went into it.
    pub issued_at: DateTime<Utc>,
    /// The model that spoke.
    pub model_id: ModelId,
    /// Version of the lake that it knew.
    pub lake_version: i64,
    /// Nominal coverage of the intervals, as 0.8 for 80 %.
    pub interval_level: f64,
    /// The hours ahead, ascending.
    pub points: Vec<ForecastPoint>,
}

/// One hour ahead.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ForecastPoint {
    /// Start of the hour.
    pub target_time: DateTime<Utc>,
    /// Hours from the issue to the target, from 1.
    pub horizon_hours: u32,
    /// The expected mean of the hour, in the measure's unit.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}
