//! Detectors as configuration: what is common to all, and which kernel judges.

use serde::{Deserialize, Serialize};

use super::{
    isolation_forest::IsolationForestConfig,
    kmeans::KMeansConfig,
    moving_average::MovingAverageConfig,
    three_sigma::{Baseline, ThreeSigmaConfig},
    threshold::ThresholdConfig,
};
use crate::{model::ModelKind, stream::StreamProfile};

/// Most readings of a warm-up: two months of minutes.
const MAX_MIN_READINGS: u32 = 100_000;

/// Longest cool-down: a month. An alarm that is silent for longer has been forgotten.
const MAX_COOL_DOWN_SECS: u32 = 31 * 86_400;

/// A detector of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorConfig {
    /// Tells its alarms apart from those of the others; 1 to 64 of a-z, 0-9, _ and -.
    pub name: String,
    /// Readings of a device that it learns from before it may alarm, 0 to 100000. Default 0.
    #[serde(default)]
    pub min_readings: u32,
    /// Seconds of event time without an alarming reading after which an episode is over; 0 ends it with the first quiet
    /// reading. Default 0, up to a month.
    #[serde(default)]
    pub cool_down_secs: u32,
    /// What judges.
    pub kernel: KernelConfig,
}

/// A kernel with its configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KernelConfig {
    /// Distance from what is usual in standard deviations.
    ThreeSigma(ThreeSigmaConfig),
    /// Isolation forest, frozen and versioned.
    IsolationForest(IsolationForestConfig),
    /// Distance from the nearest of some centres, frozen and versioned.
    #[serde(rename = "kmeans")]
    KMeans(KMeansConfig),
    /// Comparisons with fixed values.
    Threshold(ThresholdConfig),
    /// The average of the last readings against a limit, or a reading against the average.
    MovingAverage(MovingAverageConfig),
}

impl KernelConfig {
    /// The kind of model that batch has to train for it, if it learns.
    #[must_use]
    pub const fn model_kind(&self) -> Option<ModelKind> {
        match self {
            Self::IsolationForest(_) => Some(ModelKind::IsolationForest),
            Self::KMeans(_) => Some(ModelKind::KMeans),
            Self::ThreeSigma(ThreeSigmaConfig { baseline: Baseline::HourOfWeek { .. }, .. }) => {
                Some(ModelKind::HourOfWeek)
            }
            Self::ThreeSigma(_) | Self::Threshold(_) | Self::MovingAverage(_) => None,
        }
    }

    fn problems(&self, profile: &StreamProfile, min_readings: u32) -> Vec<String> {
        match self {
            Self::ThreeSigma(config) => config.problems(profile, min_readings),
            Self::IsolationForest(config) => config.problems(profile),
            Self::KMeans(config) => config.problems(profile),
            Self::Threshold(config) => config.problems(profile),
            Self::MovingAverage(config) => config.problems(profile),
        }
    }
}

impl DetectorConfig {
    /// The detector's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is wrong with the configuration under this profile: key, value, fix.
    #[must_use]
    pub fn problems(&self, profile: &StreamProfile) -> Vec<String> {
        let mut problems = Vec::new();
        if !is_detector_name(&self.name) {
            problems.push(format!("name = {:?}: must be 1 to 64 of a-z, 0-9, _ and -", self.name));
        }
        if self.min_readings > MAX_MIN_READINGS {
            problems.push(format!("min_readings = {}: must be 0 to {MAX_MIN_READINGS}", self.min_readings));
        }
        let (cool_down, interval) = (self.cool_down_secs, profile.interval_secs);
        if cool_down > MAX_COOL_DOWN_SECS {
            problems.push(format!("cool_down_secs = {cool_down}: must be 0 to {MAX_COOL_DOWN_SECS}"));
        }
        if cool_down > 0 && cool_down < interval {
            problems.push(format!(
                "cool_down_secs = {cool_down}: must be 0, or at least interval_secs ({interval}); else every reading of one \
                 excursion would open an episode of its own"
            ));
        }
        problems.extend(self.kernel.problems(profile, self.min_readings));
        problems
    }
}

/// What is wrong with the detectors of a profile, each problem with the detector's name before it.
#[must_use]
pub fn detector_problems(profile: &StreamProfile) -> Vec<String> {
    let mut problems = Vec::new();
    for (at, detector) in profile.detectors.iter().enumerate() {
        let (before, name) = (&profile.detectors[..at], &detector.name);
        if before.iter().any(|other| other.name == *name) {
            problems.push(format!("detectors: `{name}` is named twice"));
        }
        let kind = detector.kernel.model_kind();
        if let Some(same) = before.iter().find(|other| kind.is_some() && other.kernel.model_kind() == kind) {
            problems.push(format!(
                "detectors.{name}: needs the same kind of model as `{}`, and a stream has one model a kind; keep one of them",
                same.name
            ));
        }
        problems.extend(detector.problems(profile).into_iter().map(|problem| format!("detectors.{name}: {problem}")));
    }
    problems
}

fn is_detector_name(name: &str) -> bool {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(known)
}
