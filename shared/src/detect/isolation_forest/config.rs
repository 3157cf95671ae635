//! What the detector looks at and how often it may speak.

use serde::{Deserialize, Serialize};

use crate::{
    detect::{alarm_quantile_problem, features::feature_problems, training_window_problem},
    stream::StreamProfile,
};

/// Configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsolationForestConfig {
    /// Features in the language of [`crate::detect::features`], 1 to 16.
    pub features: Vec<String>,
    /// Quantile of the training scores from which a reading is an anomaly, over 0.8 and under 1.
    pub alarm_quantile: f64,
    /// Days before the newest reading that are learned from, 1 to 3660. Default: the whole history. A window that
    /// slides follows a drift, and has to span the seasons that it is to know.
    #[serde(default)]
    pub train_window_days: Option<u32>,
}

impl IsolationForestConfig {
    /// What is wrong with the configuration under this profile: key, value, fix.
    #[must_use]
    pub fn problems(&self, profile: &StreamProfile) -> Vec<String> {
        let mut problems = feature_problems(&self.features, profile);
        problems.extend(alarm_quantile_problem(self.alarm_quantile));
        problems.extend(training_window_problem(self.train_window_days));
        problems
    }
}
