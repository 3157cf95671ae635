//! Usage as JSON.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{http::timestamp, provenance::Provenance};

#[derive(Debug, Serialize)]
pub(crate) struct UsageBody {
    pub stream: String,
    pub device_id: Option<String>,
    pub measure: String,
    pub unit: String,
    pub group: Option<String>,
    pub window: Cow<'static, str>,
    pub utc_offset: String,
    pub data: Vec<UsageWindowBody>,
    pub next_cursor: Option<String>,
    pub provenance: Provenance,
}

#[derive(Debug, Serialize)]
pub(crate) struct UsageWindowBody {
    #[serde(serialize_with = "timestamp::serialize")]
    pub start: DateTime<Utc>,
    #[serde(serialize_with = "timestamp::serialize")]
    pub end: DateTime<Utc>,
    pub count: u64,
    pub sum: f64,
    pub mean: Option<f64>,
    pub min: f64,
    pub max: f64,
    /// Readings that should have come so far; null unless one device is asked for.
    pub expected: Option<u64>,
    /// `count / expected`, at most 1.
    pub completeness: Option<f64>,
    /// How many of the values batch has seen; the others are speed's.
    pub batch_count: u64,
    pub speed_count: u64,
}
