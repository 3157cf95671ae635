//! The address of a model and what is written beside it.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::position::StreamName;

/// SHA-256 of a model's bytes, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelId(String);

impl ModelId {
    /// The address of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// Takes an id that [`ModelId::of`] made and a store or a user named.
    #[must_use]
    pub const fn from_stored(id: String) -> Self {
        Self(id)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// The target from the other measures at the same instant; what the prediction form asks.
    Estimate,
    /// The target in the hours ahead.
    Forecast,
    /// How unusual a reading is, by how few random cuts set it apart.
    IsolationForest,
    /// How unusual a reading is, by its distance from the nearest centre.
    KMeans,
    /// What is usual in each hour of the week, by device.
    HourOfWeek,
}

impl ModelKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Estimate, Self::Forecast, Self::IsolationForest, Self::KMeans, Self::HourOfWeek];

    /// The name on the command line, in the API and in the views.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Estimate => "estimate",
            Self::Forecast => "forecast",
            Self::IsolationForest => "isolation-forest",
            Self::KMeans => "k-means",
            Self::HourOfWeek => "hour-of-week",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Errors of predictions over held-out rows, which are all later than the training rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RegressionMetrics {
    /// Root mean squared error, in the target's unit.
    pub rmse: f64,
    /// Mean absolute error, in the target's unit.
    pub mae: f64,
    /// Share of the variance that is explained; 1 is perfect, 0 is the mean.
    pub r2: f64,
    /// How many rows were held out.
    pub rows: u64,
}

/// Where a model comes from and what it is worth; written beside the model and never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelManifest {
    /// Address of the model's bytes.
    pub id: ModelId,
    /// The stream that it was trained on.
    pub stream: StreamName,
    /// What it is for.
    pub kind: ModelKind,
    /// When it was trained.
    pub created_at: DateTime<Utc>,
    /// Version of the lake that it was trained on.
    pub lake_version: i64,
    /// The first event time of its training rows.
    pub train_from: DateTime<Utc>,
    /// The end, exclusive, of the event times of its training rows.
    pub train_until: DateTime<Utc>,
    /// How many rows it was trained on.
    pub train_rows: u64,
    /// The features, in the order in which the model takes them.
    pub features: Vec<String>,
    /// The measure that it predicts; `None` for a detector.
    pub target: Option<String>,
    /// Parameters of the training, seed included, by name.
    pub params: BTreeMap<String, serde_json::Value>,
    /// Errors on held-out rows; `None` for a detector.
    pub metrics: Option<RegressionMetrics>,
    /// The same errors of the naive methods that the model has to beat, by name.
    pub baselines: BTreeMap<String, RegressionMetrics>,
}
