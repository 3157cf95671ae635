//! What the detector looks at and how often it may speak.

use serde::{Deserialize, Serialize};

use super::features::MAX_FEATURES;
use crate::stream::StreamProfile;

/// Configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsolationForestConfig {
    /// Name of the detector.
    pub name: String,
    /// Features: names of measures, 1 to 16.
    pub features: Vec<String>,
    /// Quantile of the training scores from which a reading is an anomaly, over 0.5 and under 1.
    pub alarm_quantile: f64,
}

impl IsolationForestConfig {
    /// What is wrong with the configuration under this profile: key, value, fix.
    #[must_use]
    pub fn problems(&self, profile: &StreamProfile) -> Vec<String> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        require(!self.name.is_empty(), "name = \"\": the detector needs a name".to_owned());
        let count = self.features.len();
        require((1..=MAX_FEATURES).contains(&count), format!("features: {count} named; must be 1 to {MAX_FEATURES}"));
        for (at, name) in self.features.iter().enumerate() {
            let known = profile.measure_index(name).is_some();
            require(known, format!("features: `{name}` is not one of the stream's measures"));
            require(!self.features[..at].contains(name), format!("features: `{name}` is named twice"));
        }
        let quantile = self.alarm_quantile;
        require(quantile > 0.5 && quantile < 1.0, format!("alarm_quantile = {quantile}: must be over 0.5 and under 1"));
        problems
    }
}
