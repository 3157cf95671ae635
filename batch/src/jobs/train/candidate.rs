//! A trained model before it is anybody's.

use std::collections::BTreeMap;

use kilowatch_shared::model::ModelManifest;
use serde_json::Value;

use crate::{
    BatchError,
    training::{Baseline, ForestParams, TrainError},
};

/// Parameters and findings of a training, by name.
pub(super) type Findings = BTreeMap<String, Value>;

/// A model and all that is known of it.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// What is written beside it.
    pub manifest: ModelManifest,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Why it must not serve, if it must not.
    pub objection: Option<String>,
    /// How long reading the lake took.
    pub load_seconds: f64,
    /// How long growing it took.
    pub fit_seconds: f64,
}

/// Trains on a thread of its own: it computes for seconds, which would hold up whoever shares the runtime.
pub(super) async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TrainError> + Send + 'static,
) -> Result<T, BatchError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(trained) => Ok(trained?),
        Err(error) => Err(BatchError::Internal { job: "train", reason: error.to_string() }),
    }
}

/// The parameters of a regression forest, by name.
pub(super) fn forest_params(params: &ForestParams, features: usize, seed: u64) -> Findings {
    named([
        ("algorithm", "random forest (smartcore 0.7)".into()),
        ("seed", seed.into()),
        ("trees", params.trees.into()),
        ("max_depth", params.max_depth.into()),
        ("features_per_split", params.features_per_split_of(features).into()),
        ("min_leaf_rows", params.min_leaf_rows.into()),
        ("max_rows_per_tree", params.max_rows_per_tree.into()),
    ])
}

/// Parameters by name.
pub(super) fn named<const N: usize>(params: [(&str, Value); N]) -> Findings {
    params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Why a model with this RMSE must not serve beside a baseline that does better.
pub(super) fn worse_than(baseline: &Baseline, rmse: f64) -> String {
    format!("its RMSE of {rmse:.4} does not beat {} with {:.4}", baseline.name, baseline.metrics.rmse)
}
