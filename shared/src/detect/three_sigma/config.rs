//! What the detector judges and how strictly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    detect::{MAX_WINDOW_READINGS, training_window_problem},
    stream::StreamProfile,
};

/// Before the newest fifth of fewer days, on which a training checks what it learned, no hour of the week is seen in three
/// weeks.
const LEAST_WINDOW_DAYS: u32 = 28;

/// Configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThreeSigmaConfig {
    /// Measures that are judged, each for itself.
    pub measures: Vec<String>,
    /// Where mean and standard deviation come from.
    pub baseline: Baseline,
    /// Standard deviations from the mean that raise an alarm, over 0 and up to 100.
    pub sigmas: f64,
    /// Smallest standard deviation by measure, in the measure's unit: what a quiet hour must not be judged finer than.
    /// Default 1 % of the mean.
    #[serde(default)]
    pub min_sd: BTreeMap<String, f64>,
}

/// What a reading is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Baseline {
    /// The device's last readings.
    Rolling {
        /// Length of the window in readings, 2 to 100000. `min_readings` of them are needed to judge by.
        window_readings: u32,
    },
    /// The same hour of the week in the device's past, learned in batch: what is usual on a Monday at eight.
    HourOfWeek {
        /// Days before the newest reading that are learned from, 28 to 3660. Default: the whole history. An hour is judged
        /// once it was seen in three weeks.
        #[serde(default)]
        train_window_days: Option<u32>,
    },
}

impl ThreeSigmaConfig {
    /// What is wrong with the configuration under this profile: key, value, fix.
    #[must_use]
    pub fn problems(&self, profile: &StreamProfile, min_readings: u32) -> Vec<String> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        require(!self.measures.is_empty(), "measures = []: name at least one measure".to_owned());
        for (at, name) in self.measures.iter().enumerate() {
            let known = profile.measure_index(name).is_some();
            require(known, format!("measures: `{name}` is not one of the stream's measures"));
            require(!self.measures[..at].contains(name), format!("measures: `{name}` is named twice"));
        }
        match self.baseline {
            Baseline::Rolling { window_readings: window } => {
                require(
                    (2..=MAX_WINDOW_READINGS).contains(&window),
                    format!("baseline.rolling.window_readings = {window}: must be 2 to {MAX_WINDOW_READINGS}"),
                );
                require(
                    (2..=window.max(2)).contains(&min_readings),
                    format!("min_readings = {min_readings}: must be 2 to window_readings ({window})"),
                );
            }
            Baseline::HourOfWeek { train_window_days } => {
                let problem = training_window_problem(train_window_days);
                require(problem.is_none(), format!("baseline.hour_of_week.{}", problem.unwrap_or_default()));
                require(
                    train_window_days.is_none_or(|days| days >= LEAST_WINDOW_DAYS),
                    format!(
                        "baseline.hour_of_week.train_window_days: must be at least {LEAST_WINDOW_DAYS}, since an hour is judged \
                         once it was seen in three weeks, and the newest fifth is held out"
                    ),
                );
            }
        }
        let sigmas = self.sigmas;
        require(sigmas > 0.0 && sigmas <= 100.0, format!("sigmas = {sigmas}: must be over 0 and up to 100"));
        for (name, sd) in &self.min_sd {
            require(self.measures.contains(name), format!("min_sd: `{name}` is not one of the detector's measures"));
            require(*sd >= 0.0 && sd.is_finite(), format!("min_sd.{name} = {sd}: must be 0 or more"));
        }
        problems
    }
}
