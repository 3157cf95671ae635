//! A reading as the numbers that a tree compares: robust units, in which every feature has median 0 and spread 1.

use serde::{Deserialize, Serialize};

use crate::detect::{features::MAX_FEATURES, quantile::quantile};

/// Robust units beyond which all values are alike, so that distances stay finite in f32.
const FARTHEST: f64 = 1e30;

/// One reading in robust units; features beyond the model's own are 0 and never compared.
pub(super) type FeatureVector = [f32; MAX_FEATURES];

/// What the training rows said of a feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureScale {
    /// The feature as the profile writes it.
    pub name: String,
    /// Median of the training rows; it stands in for a missing value.
    pub median: f64,
    /// Distance between the quantiles 0.25 and 0.75, or what comes closest in rows that barely vary.
    pub spread: f64,
    /// Quantile 0.01 of the training rows.
    pub low: f64,
    /// Quantile 0.99 of the training rows.
    pub high: f64,
}

impl FeatureScale {
    /// The scale of a feature by its values, which need no order and are finite.
    pub(super) fn of(name: &str, mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |level: f64| quantile(&values, level);
        let spread = [at(0.75) - at(0.25), at(0.99) - at(0.01), at(1.0) - at(0.0)]
            .into_iter()
            .find(|spread| *spread > 0.0 && spread.is_finite())
            .unwrap_or(1.0);
        Self { name: name.to_owned(), median: at(0.5), spread, low: at(0.01), high: at(0.99) }
    }

    /// The value in robust units; a missing one is the median. Computed in f64, so that f32 keeps the digits that tell
    /// the device's values apart and not those of a large offset.
    pub(super) fn robust(&self, value: Option<f64>) -> f32 {
        value.map_or(0.0, |value| ((value - self.median) / self.spread).clamp(-FARTHEST, FARTHEST) as f32)
    }
}
