//! `train`: the history becomes a model, which is saved, listed, and served if it is worth it.
//!
//! `estimate`, `forecast`, `detector` (which knows `isolation_forest` and `k_means`) and `hour_of_week` read the lake and
//! train; `publish` saves the model under the hash of its bytes and lets it serve unless a simpler method does better,
//! or it would cry wolf (`alarm_check`). The same history, parameters and seed give
//! the same bytes, so a second run finds its model there and changes nothing.

mod alarm_check;
mod candidate;
mod detector;
mod estimate;
mod forecast;
mod hour_of_week;
mod isolation_forest;
mod k_means;
mod publish;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    job::JobStatus,
    lake::AsOf,
    model::{ModelId, ModelKind, RegressionMetrics},
    position::StreamName,
    stream::StreamProfile,
};
use serde::{Deserialize, Serialize};

use super::history::{Summary, recorded};
use crate::{BatchDeps, BatchError, features::Known};

/// What to train.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainRequest {
    /// The kind of model.
    pub kind: ModelKind,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Whether the model is to serve, if it is worth it.
    pub promote: bool,
    /// Only readings before this instant; else all up to now.
    pub until: Option<DateTime<Utc>>,
    /// The lake as of this point; else its newest version.
    pub as_of: Option<AsOf>,
}

impl TrainRequest {
    /// Trains on everything up to now and lets the model serve; the seed is 42.
    #[must_use]
    pub const fn of(kind: ModelKind) -> Self {
        Self { kind, seed: 42, promote: true, until: None, as_of: None }
    }
}

/// Whether the model serves now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Promotion {
    /// It serves from now on.
    Promoted,
    /// It served before.
    AlreadyServing,
    /// It was not to.
    NotAsked,
    /// It is not worth it; what served before still does.
    Refused {
        /// What does better.
        reason: String,
    },
}

/// What a training gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// The stream.
    pub stream: StreamName,
    /// The kind of model.
    pub kind: ModelKind,
    /// Address of the model.
    pub model_id: ModelId,
    /// Version of the lake that it learned from.
    pub lake_version: i64,
    /// Rows that it learned from.
    pub rows: u64,
    /// Its features.
    pub features: Vec<String>,
    /// Errors on held-out rows, all later than the training rows; none for a detector.
    pub metrics: Option<RegressionMetrics>,
    /// Errors of simpler methods on the same rows.
    pub baselines: BTreeMap<String, RegressionMetrics>,
    /// Parameters and findings of the training, as in the manifest.
    pub params: BTreeMap<String, serde_json::Value>,
    /// Whether it serves now.
    pub promotion: Promotion,
    /// How long reading the lake took, in seconds.
    pub load_seconds: f64,
    /// How long growing the forest took, in seconds.
    pub fit_seconds: f64,
    /// How long all of it took, in seconds.
    pub seconds: f64,
}

/// Trains a model.
///
/// # Errors
/// [`BatchError::Train`], [`BatchError::Lake`] or [`BatchError::Views`]. What served before still does then.
pub async fn train(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: &TrainRequest,
) -> Result<TrainReport, BatchError> {
    recorded(deps, profile, &job_of(request.kind), run(deps, profile, request)).await
}

/// The name that the history has for trainings of a kind: `train_forecast`. Each kind may fail by itself.
#[must_use]
pub fn job_of(kind: ModelKind) -> String {
    format!("train_{}", kind.as_str())
}

/// The kinds of models that a profile declares.
#[must_use]
pub fn declared_models(profile: &StreamProfile) -> Vec<ModelKind> {
    let predicts = profile.forecast.is_some();
    let learned = |kind| profile.detectors.iter().any(|detector| detector.kernel.model_kind() == Some(kind));
    let declared = |kind: &ModelKind| match kind {
        ModelKind::Estimate | ModelKind::Forecast => predicts,
        ModelKind::IsolationForest | ModelKind::KMeans | ModelKind::HourOfWeek => learned(*kind),
    };
    ModelKind::ALL.into_iter().filter(declared).collect()
}

async fn run(deps: &BatchDeps, profile: &StreamProfile, request: &TrainRequest) -> Result<TrainReport, BatchError> {
    let began = std::time::Instant::now();
    let known = Known { until: request.until.unwrap_or_else(|| deps.clock.now()), as_of: request.as_of };
    let candidate = match request.kind {
        ModelKind::Estimate => estimate::candidate(deps, profile, request.seed, known).await?,
        ModelKind::Forecast => forecast::candidate(deps, profile, request.seed, known).await?,
        ModelKind::IsolationForest | ModelKind::KMeans => {
            detector::candidate(deps, profile, request.kind, request.seed, known).await?
        }
        ModelKind::HourOfWeek => hour_of_week::candidate(deps, profile, request.seed, known).await?,
    };
    let mut report = publish::publish(deps, candidate, request.promote).await?;
    report.seconds = began.elapsed().as_secs_f64();
    tracing::info!(
        model.id = report.model_id.as_str(),
        model.kind = report.kind.as_str(),
        model.rows = report.rows,
        model.rmse = report.metrics.map(|metrics| metrics.rmse),
        train.seconds = report.seconds,
        "trained a model"
    );
    Ok(report)
}

impl Summary for TrainReport {
    fn status(&self) -> JobStatus {
        JobStatus::Succeeded
    }

    fn changed_rows(&self) -> u64 {
        self.rows
    }

    fn sentence(&self) -> String {
        let worth = self.metrics.map_or_else(String::new, |metrics| {
            format!(", RMSE {:.4}, R2 {:.4} on {} held-out rows", metrics.rmse, metrics.r2, metrics.rows)
        });
        let serves = match &self.promotion {
            Promotion::Promoted => "it serves now".to_owned(),
            Promotion::AlreadyServing => "it served before".to_owned(),
            Promotion::NotAsked => "it was not asked to serve".to_owned(),
            Promotion::Refused { reason } => format!("it does not serve: {reason}"),
        };
        format!("{} from {} rows{worth}; {serves}", self.kind.as_str(), self.rows)
    }
}
