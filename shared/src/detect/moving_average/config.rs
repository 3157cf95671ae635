//! What is averaged, and what it is held against.

use serde::{Deserialize, Serialize};

use crate::{anomaly::Severity, detect::MAX_WINDOW_READINGS, stream::StreamProfile};

/// Configuration: exactly one of `limit` and `max_deviation`, since a score has one scale. Who asks both has two
/// detectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovingAverageConfig {
    /// The measure.
    pub measure: String,
    /// Length of the window in readings, 1 to 100000. Until it is full, what is there is averaged.
    pub window_readings: u32,
    /// Alarms if the average of the window, the judged reading included, is above it; in the measure's unit.
    #[serde(default)]
    pub limit: Option<f64>,
    /// Alarms if the reading is further from the average of the window before it; in the measure's unit.
    #[serde(default)]
    pub max_deviation: Option<f64>,
    /// How urgent an alarm is. Default `warning`.
    #[serde(default = "warning")]
    pub severity: Severity,
}

const fn warning() -> Severity {
    Severity::Warning
}

impl MovingAverageConfig {
    /// What is wrong with the configuration under this profile: key, value, fix.
    #[must_use]
    pub fn problems(&self, profile: &StreamProfile) -> Vec<String> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        let measure = &self.measure;
        let known = profile.measure_index(measure).is_some();
        require(known, format!("measure = \"{measure}\": is not one of the stream's measures"));
        let window = self.window_readings;
        require(
            (1..=MAX_WINDOW_READINGS).contains(&window),
            format!("window_readings = {window}: must be 1 to {MAX_WINDOW_READINGS}"),
        );
        require(
            self.limit.is_some() != self.max_deviation.is_some(),
            "limit and max_deviation: write exactly one of them; both are two detectors".to_owned(),
        );
        if let Some(limit) = self.limit {
            require(limit.is_finite(), format!("limit = {limit}: must be finite"));
        }
        if let Some(most) = self.max_deviation {
            require(most > 0.0 && most.is_finite(), format!("max_deviation = {most}: must be over 0"));
        }
        problems
    }
}
