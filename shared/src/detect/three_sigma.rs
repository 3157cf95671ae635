//! Landing in the next commit.

use serde::{Deserialize, Serialize};

/// Configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThreeSigmaConfig {
    /// Name of the detector.
    pub name: String,
    /// Measures that are judged, each for itself.
    pub measures: Vec<String>,
    /// Length of the rolling window in readings, 2 to 100000.
    pub window_readings: u32,
    /// Readings in the window before the detector speaks.
    pub min_readings: u32,
    /// Standard deviations from the mean that raise an alarm.
    pub sigmas: f64,
}

impl ThreeSigmaConfig {
    /// What is wrong with the configuration under this profile.
    #[must_use]
    pub fn problems(&self, _profile: &crate::stream::StreamProfile) -> Vec<String> {
        Vec::new()
    }
}
