//! A serving model as JSON.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    model::{ModelManifest, RegressionMetrics},
    stream::StreamProfile,
    views::ServedModel,
};
use serde::Serialize;

use crate::http::timestamp;

#[derive(Debug, Serialize)]
pub(crate) struct ModelBody {
    pub kind: &'static str,
    pub id: String,
    pub target: Option<String>,
    pub unit: Option<String>,
    #[serde(serialize_with = "timestamp::serialize")]
    pub serving_since: DateTime<Utc>,
    #[serde(serialize_with = "timestamp::serialize")]
    pub created_at: DateTime<Utc>,
    pub lake_version: i64,
    #[serde(serialize_with = "timestamp::serialize")]
    pub train_from: DateTime<Utc>,
    #[serde(serialize_with = "timestamp::serialize")]
    pub train_until: DateTime<Utc>,
    pub train_rows: u64,
    pub features: Vec<String>,
    pub params: BTreeMap<String, serde_json::Value>,
    pub metrics: Option<MetricsBody>,
    pub baselines: BTreeMap<String, MetricsBody>,
    /// `1 - rmse / rmse of the best baseline`: above zero the model is worth its keep.
    pub skill: Option<f64>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct MetricsBody {
    pub rmse: f64,
    pub mae: f64,
    pub r2: f64,
    /// Held-out rows, all later than the training rows.
    pub rows: u64,
}

impl From<RegressionMetrics> for MetricsBody {
    fn from(metrics: RegressionMetrics) -> Self {
        Self { rmse: metrics.rmse, mae: metrics.mae, r2: metrics.r2, rows: metrics.rows }
    }
}

impl ModelBody {
    pub fn new(served: ServedModel, profile: &StreamProfile) -> Self {
        let skill = skill(&served.manifest);
        let ServedModel { manifest, since } = served;
        let measure = manifest.target.as_ref().and_then(|target| profile.measures.iter().find(|m| m.name == *target));
        Self {
            kind: manifest.kind.as_str(),
            id: manifest.id.to_string(),
            unit: measure.map(|measure| measure.unit.clone()),
            target: manifest.target,
            serving_since: since,
            created_at: manifest.created_at,
            lake_version: manifest.lake_version,
            train_from: manifest.train_from,
            train_until: manifest.train_until,
            train_rows: manifest.train_rows,
            features: manifest.features,
            params: manifest.params,
            metrics: manifest.metrics.map(MetricsBody::from),
            baselines: manifest.baselines.into_iter().map(|(name, metrics)| (name, metrics.into())).collect(),
            skill,
        }
    }
}

/// The naive method with the least error, which is the one to beat.
pub(crate) fn best_baseline(manifest: &ModelManifest) -> Option<(&str, &RegressionMetrics)> {
    manifest
        .baselines
        .iter()
        .map(|(name, metrics)| (name.as_str(), metrics))
        .min_by(|(_, a), (_, b)| a.rmse.total_cmp(&b.rmse))
}

fn skill(manifest: &ModelManifest) -> Option<f64> {
    let (_, baseline) = best_baseline(manifest)?;
    let metrics = manifest.metrics?;
    (baseline.rmse > 0.0).then(|| 1.0 - metrics.rmse / baseline.rmse)
}
