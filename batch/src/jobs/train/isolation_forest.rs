//! The isolation forest that speed judges with.

use kilowatch_shared::detect::{
    features::FeatureValues,
    isolation_forest::{ForestParams, IsolationForestConfig, TrainingRows, train},
};

use super::{candidate::named, detector::Learned};
use crate::training::TrainError;

/// Grows it.
pub(super) fn learn(
    config: &IsolationForestConfig,
    sample: &[FeatureValues],
    seed: u64,
) -> Result<Learned, TrainError> {
    let width = config.features.len();
    let values: Vec<f64> = sample.iter().flat_map(|row| &row[..width]).copied().collect();
    let rows = TrainingRows { features: &config.features, values: &values };
    let params = ForestParams::of(config);
    let model = train(rows, params, config.alarm_quantile, seed)?;
    let findings = named([
        ("algorithm", "isolation forest".into()),
        ("trees", params.trees.into()),
        ("sample_size", model.sample_size().into()),
        ("threshold", model.threshold().into()),
    ]);
    Ok(Learned {
        bytes: model.to_bytes()?,
        rows: sample.len(),
        params: findings,
        alarms: Box::new(move |row| {
            let values: Vec<Option<f64>> =
                row[..width].iter().map(|value| (!value.is_nan()).then_some(*value)).collect();
            model.score(&values) > model.threshold()
        }),
    })
}
