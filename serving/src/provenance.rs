//! Where a served value comes from: the envelope of every merged answer.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kilowatch_shared::checkpoint::Boundary;
use serde::Serialize;

use crate::http::timestamp;

/// Which layer an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Layer {
    /// Batch alone.
    Batch,
    /// Speed alone.
    Speed,
    /// Values of both.
    Both,
    /// Neither: the answer is empty.
    None,
}

impl Layer {
    /// The layer of an answer with parts of batch, of speed, of both or of none.
    pub const fn of(batch: bool, speed: bool) -> Self {
        match (batch, speed) {
            (true, true) => Self::Both,
            (true, false) => Self::Batch,
            (false, true) => Self::Speed,
            (false, false) => Self::None,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Speed => "speed",
            Self::Both => "both",
            Self::None => "none",
        }
    }
}

/// The same six keys under every answer; what does not apply is null.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Provenance {
    pub layer: Layer,
    /// When the answer was read.
    #[serde(serialize_with = "timestamp::serialize")]
    pub as_of: DateTime<Utc>,
    /// Of each partition the first offset that batch has not seen.
    pub boundary: BTreeMap<String, u64>,
    pub lake_version: Option<i64>,
    pub model_id: Option<String>,
    /// Share of the expected readings that arrived, 0 to 1.
    pub completeness: Option<f64>,
}

impl Provenance {
    pub fn new(layer: Layer, as_of: DateTime<Utc>, boundary: &Boundary) -> Self {
        Self {
            layer,
            as_of,
            boundary: boundary
                .partitions
                .iter()
                .map(|(partition, offset)| (String::from(partition.clone()), offset.get()))
                .collect(),
            lake_version: boundary.lake_version,
            model_id: None,
            completeness: None,
        }
    }
}
