//! What the detector judges and how strictly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::stream::StreamProfile;

/// Longest window in readings: two months of minutes, and 800 kB of state a device and measure.
const MAX_WINDOW_READINGS: u32 = 100_000;

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
    /// Readings in the window before the detector speaks, 2 to `window_readings`.
    pub min_readings: u32,
    /// Standard deviations from the mean that raise an alarm, over 0 and up to 100.
    pub sigmas: f64,
    /// Smallest standard deviation by measure, in the measure's unit: what a quiet hour must not be judged finer than.
    /// Default 1 % of the mean.
    #[serde(default)]
    pub min_sd: BTreeMap<String, f64>,
}

impl ThreeSigmaConfig {
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
        require(!self.measures.is_empty(), "measures = []: name at least one measure".to_owned());
        for (at, name) in self.measures.iter().enumerate() {
            let known = profile.measure_index(name).is_some();
            require(known, format!("measures: `{name}` is not one of the stream's measures"));
            require(!self.measures[..at].contains(name), format!("measures: `{name}` is named twice"));
        }
        let window = self.window_readings;
        require(
            (2..=MAX_WINDOW_READINGS).contains(&window),
            format!("window_readings = {window}: must be 2 to {MAX_WINDOW_READINGS}"),
        );
        let min = self.min_readings;
        require(
            (2..=window.max(2)).contains(&min),
            format!("min_readings = {min}: must be 2 to window_readings ({window})"),
        );
        let sigmas = self.sigmas;
        require(sigmas > 0.0 && sigmas <= 100.0, format!("sigmas = {sigmas}: must be over 0 and up to 100"));
        for (name, sd) in &self.min_sd {
            require(self.measures.contains(name), format!("min_sd: `{name}` is not one of the detector's measures"));
            require(*sd >= 0.0 && sd.is_finite(), format!("min_sd.{name} = {sd}: must be 0 or more"));
        }
        problems
    }
}
