//! The centres that speed measures distances from.

use kilowatch_shared::detect::{
    features::FeatureValues,
    kmeans::{KMeansConfig, KMeansParams, train},
};

use super::{candidate::named, detector::Learned};
use crate::training::{TrainError, sample_ascending};

/// Rows that the centres are placed by. Ten starts over them take two seconds, and centres of fifty thousand rows lie
/// within a hundredth of a standard deviation of those of all.
const ROWS: usize = 50_000;

/// Places them.
pub(super) fn learn(config: &KMeansConfig, sample: &[FeatureValues], seed: u64) -> Result<Learned, TrainError> {
    let params = KMeansParams::of(config);
    // By lot: every n-th row of hourly readings would see some hours of the day only.
    let rows: Vec<FeatureValues> =
        sample_ascending(sample.len(), ROWS, seed).into_iter().map(|at| sample[at]).collect();
    let model = train(&config.features, &rows, params, seed)?;
    let findings = named([
        ("algorithm", "k-means".into()),
        ("clusters", model.centres().len().into()),
        ("centres", model.centres().into()),
        ("threshold", model.threshold().into()),
        ("restarts", params.restarts.into()),
        ("trim_share", params.trim_share.into()),
        ("fence", params.fence.into()),
    ]);
    Ok(Learned {
        bytes: model.to_bytes()?,
        rows: rows.len(),
        params: findings,
        alarms: Box::new(move |row| model.distance(row) > model.threshold()),
    })
}
