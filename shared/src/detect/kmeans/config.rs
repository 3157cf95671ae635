//! What the detector looks at, with how many centres, and how often it may speak.

use serde::{Deserialize, Serialize};

use super::{MAX_CLUSTERS, MAX_FENCE, MAX_TRIM_SHARE};
use crate::{
    detect::{alarm_quantile_problem, features::feature_problems, training_window_problem},
    stream::StreamProfile,
};

/// Configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KMeansConfig {
    /// Features in the language of [`crate::detect::features`], 1 to 16.
    pub features: Vec<String>,
    /// Number of centres, 1 to 16. Default 3: low, medium and high.
    #[serde(default = "three")]
    pub clusters: u32,
    /// Quantile of the training distances beyond which a reading is an anomaly, over 0.8 and under 1. Default 0.95.
    #[serde(default = "most")]
    pub alarm_quantile: f64,
    /// Share of the training rows, those farthest from all centres, that place no centre; 0 to under 0.5. What is expected of
    /// anomalies in the history: else they pull the centres to themselves and then lie near one. Default 0.
    #[serde(default)]
    pub trim_share: f64,
    /// Interquartile ranges above the upper quartile of the training distances below which nothing is an anomaly, 0 to 10;
    /// 1.5 is Tukey's fence. A history that holds fewer anomalies than 1 - `alarm_quantile` then does not make some of the
    /// usual readings anomalies. Default: the quantile alone counts.
    #[serde(default)]
    pub fence: Option<f64>,
    /// Days before the newest reading that are learned from, 1 to 3660. Default: the whole history.
    #[serde(default)]
    pub train_window_days: Option<u32>,
}

const fn three() -> u32 {
    3
}

const fn most() -> f64 {
    0.95
}

impl KMeansConfig {
    /// What is wrong with the configuration under this profile: key, value, fix.
    #[must_use]
    pub fn problems(&self, profile: &StreamProfile) -> Vec<String> {
        let mut problems = feature_problems(&self.features, profile);
        if !(1..=MAX_CLUSTERS).contains(&self.clusters) {
            problems.push(format!("clusters = {}: must be 1 to {MAX_CLUSTERS}", self.clusters));
        }
        problems.extend(alarm_quantile_problem(self.alarm_quantile));
        let trim = self.trim_share;
        if !(0.0..MAX_TRIM_SHARE).contains(&trim) {
            problems.push(format!("trim_share = {trim}: must be 0 to under {MAX_TRIM_SHARE}"));
        }
        if let Some(fence) = self.fence.filter(|fence| !(0.0..=MAX_FENCE).contains(fence)) {
            problems.push(format!("fence = {fence}: must be 0 to {MAX_FENCE}, or left out"));
        }
        problems.extend(training_window_problem(self.train_window_days));
        problems
    }
}
