//! Detectors as configuration: what is common to all, and which kernel judges.

use serde::{Deserialize, Serialize};

use super::{
    MAX_REMEMBERED_VALUES,
    features::FeatureSet,
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

/// Most detectors of a stream: every reading is judged by all of them.
const MAX_DETECTORS: usize = 16;

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
    /// reading. Default 0; else at least twice the stream's `interval_secs`, up to a month.
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

    /// How many values its windows hold of a device once they are full.
    fn remembered_values(&self, profile: &StreamProfile) -> u64 {
        // What cannot be read is a problem of its own.
        let of_texts = |texts: &mut dyn Iterator<Item = &str>| {
            FeatureSet::try_new(texts, profile).map_or(0, |set| set.remembered_values())
        };
        let of_features = |features: &[String]| of_texts(&mut features.iter().map(String::as_str));
        match self {
            Self::ThreeSigma(ThreeSigmaConfig {
                measures, baseline: Baseline::Rolling { window_readings }, ..
            }) => measures.len() as u64 * u64::from(*window_readings),
            Self::MovingAverage(config) => u64::from(config.window_readings),
            Self::IsolationForest(config) => of_features(&config.features),
            Self::KMeans(config) => of_features(&config.features),
            Self::Threshold(config) => {
                of_texts(&mut config.comparisons().map(|comparison| comparison.measure.as_str()))
            }
            Self::ThreeSigma(_) => 0,
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
        let least = interval.saturating_mul(2);
        if cool_down > 0 && cool_down < least {
            problems.push(format!(
                "cool_down_secs = {cool_down}: must be 0, or at least {least}, twice interval_secs; else the next reading comes \
                 when it is over, and one excursion is many episodes"
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
    let count = profile.detectors.len();
    if count > MAX_DETECTORS {
        problems.push(format!("detectors: {count} of them; must be up to {MAX_DETECTORS}"));
    }
    problems.extend(memory_problem(profile));
    problems
}

/// Each window may be as long as it likes, but all of them together hold memory for each device.
fn memory_problem(profile: &StreamProfile) -> Option<String> {
    let values = |detector: &DetectorConfig| detector.kernel.remembered_values(profile);
    let all: u64 = profile.detectors.iter().map(values).sum();
    let told = || {
        let shares = profile.detectors.iter().map(|detector| format!("{} {}", detector.name, values(detector)));
        shares.collect::<Vec<_>>().join(", ")
    };
    (all > MAX_REMEMBERED_VALUES).then(|| {
        format!(
            "detectors: their windows remember {all} values of each device ({}); must be up to {MAX_REMEMBERED_VALUES} together, so \
             shorten them",
            told()
        )
    })
}

fn is_detector_name(name: &str) -> bool {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::test_support::household;

    /// The household with these detectors, and what is wrong with them.
    fn told(detectors: &str) -> String {
        #[derive(Deserialize)]
        struct Written {
            detectors: Vec<DetectorConfig>,
        }
        let Written { detectors } = toml::from_str(detectors).unwrap();
        detector_problems(&StreamProfile { detectors, ..household() }).join("\n")
    }

    fn average(name: &str, window_readings: u32, cool_down_secs: u32) -> String {
        format!(
            "[[detectors]]\nname = \"{name}\"\ncool_down_secs = {cool_down_secs}\n[detectors.kernel.moving_average]\n\
             measure = \"voltage\"\nwindow_readings = {window_readings}\nlimit = 250.0\n"
        )
    }

    #[test]
    fn windows_that_are_each_fine_may_be_too_much_together() {
        let (one, other) = (average("one", 60_000, 0), average("other", 40_000, 0));
        assert_eq!(told(&format!("{one}{other}")), "");
        let forest = "[[detectors]]\nname = \"forest\"\n[detectors.kernel.isolation_forest]\nalarm_quantile = 0.99\n\
            features = [\"lag(voltage, 5)\", \"lag(voltage, 2)\", \"rolling_mean(voltage, 70)\", \"unchanged(current)\"]\n";
        let told = told(&format!("{one}{other}{forest}"));
        assert!(told.contains("remember 100076 values of each device (one 60000, other 40000, forest 76)"), "{told}");
        assert!(told.contains("up to 100000 together"), "{told}");
    }

    #[test]
    fn a_window_counts_for_each_measure_that_has_one() {
        let three_sigma = |window: u32| {
            format!(
                "[[detectors]]\nname = \"usual\"\nmin_readings = 60\n[detectors.kernel.three_sigma]\nsigmas = 3.0\n\
                 measures = [\"voltage\", \"current\"]\nbaseline = {{ rolling = {{ window_readings = {window} }} }}\n"
            )
        };
        assert_eq!(told(&three_sigma(50_000)), "");
        assert!(told(&three_sigma(50_001)).contains("100002 values"));
    }

    #[test]
    fn a_cool_down_outlasts_the_next_reading_or_is_none() {
        for (cool_down_secs, is_fine) in [(0, true), (1, false), (60, false), (119, false), (120, true), (600, true)] {
            let told = told(&average("a", 10, cool_down_secs));
            assert_eq!(told.is_empty(), is_fine, "{cool_down_secs}: {told}");
        }
        assert!(told(&average("a", 10, 60)).contains("cool_down_secs = 60: must be 0, or at least 120"));
    }

    #[test]
    fn a_reading_is_judged_by_a_bounded_number_of_detectors() {
        let many: String = (0..17).map(|number| average(&format!("average-{number}"), 10, 0)).collect();
        assert!(told(&many).contains("17 of them; must be up to 16"));
    }
}
