//! Landing in the next commit.

use serde::{Deserialize, Serialize};

/// Configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsolationForestConfig {
    /// Name of the detector.
    pub name: String,
    /// Features: names of measures.
    pub features: Vec<String>,
    /// Quantile of the training scores from which a reading is an anomaly, over 0.5 and under 1.
    pub alarm_quantile: f64,
}

impl IsolationForestConfig {
    /// What is wrong with the configuration under this profile.
    #[must_use]
    pub fn problems(&self, _profile: &crate::stream::StreamProfile) -> Vec<String> {
        Vec::new()
    }
}
