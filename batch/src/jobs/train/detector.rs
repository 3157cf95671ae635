//! What every learned detector has in common: the rows that it learns from are the features that speed computes, and one
//! that would cry wolf does not serve.

use std::{collections::BTreeMap, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    detect::{
        features::{FeatureSet, FeatureValues},
        isolation_forest::IsolationForestConfig,
        kmeans::KMeansConfig,
    },
    model::{ModelId, ModelKind, ModelManifest},
    stream::{KernelConfig, StreamProfile},
};
use serde_json::Value;

use super::{
    candidate::{Candidate, off_the_runtime},
    isolation_forest, k_means,
};
use crate::{
    BatchDeps, BatchError,
    features::judged::{JudgedRows, TrainWindow, read_judged},
    training::{TrainError, sample_ascending},
};

/// Rows that a detector and its threshold are taken from, drawn evenly from all of them.
pub(super) const SAMPLE_ROWS: usize = 200_000;

/// Rows that tell how often it raises an alarm: a rate of 1 % is then known to 0.1 percentage points.
pub(super) const PROBE_ROWS: usize = 10_000;

/// Fewest rows to learn from: a quantile of 0.99 then has ten rows above it.
pub(super) const MIN_ROWS: usize = 1000;

/// A detector that raises so many times its share of alarms in the newest fifth of the history does not know the season
/// (a forest fitted on 17 hours of January flagged 46 % of the year). Less is ordinary: the newest fifth of a week is its
/// weekend, of which a forest flags more than of working days.
const MAX_ALARM_FACTOR: f64 = 10.0;

/// Share of alarms beyond which nobody listens, whatever the quantile allows.
const MAX_ALARM_RATE: f64 = 0.2;

/// What a kernel learned.
pub(super) struct Learned {
    pub bytes: Vec<u8>,
    pub rows: usize,
    /// Parameters and findings of the training.
    pub params: BTreeMap<String, Value>,
    /// Whether the model alarms on a row.
    pub alarms: Box<dyn Fn(&FeatureValues) -> bool + Send>,
}

/// A kernel that learns.
enum Learner {
    IsolationForest(IsolationForestConfig),
    KMeans(KMeansConfig),
}

impl Learner {
    /// The learner of a kernel, if what it learns is of this kind.
    fn of(kernel: &KernelConfig, kind: ModelKind) -> Option<Self> {
        match (kernel, kind) {
            (KernelConfig::IsolationForest(config), ModelKind::IsolationForest) => {
                Some(Self::IsolationForest(config.clone()))
            }
            (KernelConfig::KMeans(config), ModelKind::KMeans) => Some(Self::KMeans(config.clone())),
            _ => None,
        }
    }

    /// Its features, its window in days and its quantile.
    fn asks(&self) -> (Vec<String>, Option<u32>, f64) {
        match self {
            Self::IsolationForest(config) => (config.features.clone(), config.train_window_days, config.alarm_quantile),
            Self::KMeans(config) => (config.features.clone(), config.train_window_days, config.alarm_quantile),
        }
    }

    fn learn(&self, sample: &[FeatureValues], seed: u64) -> Result<Learned, TrainError> {
        match self {
            Self::IsolationForest(config) => isolation_forest::learn(config, sample, seed),
            Self::KMeans(config) => k_means::learn(config, sample, seed),
        }
    }
}

/// Reads and trains the detector that learns a model of this kind.
pub(super) async fn candidate(
    deps: &BatchDeps,
    profile: &StreamProfile,
    kind: ModelKind,
    seed: u64,
    until: DateTime<Utc>,
) -> Result<Candidate, BatchError> {
    let Some(learner) = profile.detectors.iter().find_map(|detector| Learner::of(&detector.kernel, kind)) else {
        let section = "[[detectors]] with a kernel that learns it";
        return Err(TrainError::NotDeclared { stream: profile.name.to_string(), section }.into());
    };
    let (names, window_days, quantile) = learner.asks();
    let features = FeatureSet::try_new(names.iter().map(String::as_str), profile)
        .map_err(|feature| TrainError::UnknownFeature { feature })?;
    let start = Instant::now();
    let read = read_judged(&deps.lake, profile, &features, TrainWindow { days: window_days, until }).await?;
    let load_seconds = start.elapsed().as_secs_f64();
    let JudgedRows { rows, times } = read.rows;
    if rows.len() < MIN_ROWS {
        let (found, needed) = (rows.len() as u64, MIN_ROWS as u64);
        return Err(TrainError::TooLittle { what: "readings with a feature", found, needed, until }.into());
    }
    let train_from = times.iter().min().copied().unwrap_or(until);
    let train_until = times.iter().max().map_or(until, |last| *last + TimeDelta::microseconds(1));
    let (learned, rates, fit_seconds) = off_the_runtime(move || {
        let start = Instant::now();
        let sample: Vec<FeatureValues> =
            sample_ascending(rows.len(), SAMPLE_ROWS, seed).into_iter().map(|at| rows[at]).collect();
        let learned = learner.learn(&sample, seed)?;
        let fit_seconds = start.elapsed().as_secs_f64();
        let rates = AlarmRates::of(&times, seed, |at| (learned.alarms)(&rows[at]));
        Ok((learned, rates, fit_seconds))
    })
    .await?;
    let mut params = learned.params;
    params.extend([
        ("seed".to_owned(), seed.into()),
        ("alarm_quantile".to_owned(), quantile.into()),
        ("train_window_days".to_owned(), window_days.into()),
        ("alarm_rate".to_owned(), rates.all.into()),
        ("alarm_rate_newest_fifth".to_owned(), rates.newest_fifth.into()),
    ]);
    let manifest = ModelManifest {
        id: ModelId::of(&learned.bytes),
        stream: profile.name.clone(),
        kind,
        created_at: deps.clock.now(),
        lake_version: read.lake_version,
        train_from,
        train_until,
        train_rows: learned.rows as u64,
        features: names,
        target: None,
        params,
        metrics: None,
        baselines: BTreeMap::default(),
    };
    let objection = rates.objection(1.0 - quantile);
    Ok(Candidate { manifest, bytes: learned.bytes, objection, load_seconds, fit_seconds })
}

/// Shares of rows that a model alarms on.
#[derive(Debug, Clone, Copy)]
pub(super) struct AlarmRates {
    pub(super) all: f64,
    pub(super) newest_fifth: f64,
}

impl AlarmRates {
    /// Among rows of these times; `alarms` tells of a row by its index.
    pub(super) fn of(times: &[DateTime<Utc>], seed: u64, alarms: impl Fn(usize) -> bool) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let newest_from = sorted.get(sorted.len() * 4 / 5);
        let newest: Vec<usize> =
            (0..times.len()).filter(|at| newest_from.is_some_and(|from| times[*at] >= *from)).collect();
        let all: Vec<usize> = (0..times.len()).collect();
        let rate = |among: &[usize]| {
            // Drawn anew, so that most of them are not those that the threshold was taken from.
            let probe = sample_ascending(among.len(), PROBE_ROWS, !seed);
            let alarms = probe.iter().filter(|at| alarms(among[**at])).count();
            alarms as f64 / probe.len().max(1) as f64
        };
        Self { all: rate(&all), newest_fifth: rate(&newest) }
    }

    /// Why a model that should alarm on `share` of the rows must not serve.
    pub(super) fn objection(self, share: f64) -> Option<String> {
        let most = (MAX_ALARM_FACTOR * share).min(MAX_ALARM_RATE);
        let (rate, of_what) = if self.newest_fifth >= self.all {
            (self.newest_fifth, "the newest fifth of the readings")
        } else {
            (self.all, "the readings")
        };
        (rate > most)
            .then(|| format!("it would flag {:.1} % of {of_what}, more than {:.1} %", 100.0 * rate, 100.0 * most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_cries_wolf_of_late_or_ever_is_objected_to() {
        let objection = |all, newest_fifth, share| AlarmRates { all, newest_fifth }.objection(share);
        assert_eq!(objection(0.01, 0.09, 0.01), None);
        assert!(objection(0.01, 0.11, 0.01).unwrap().contains("11.0 % of the newest fifth"));
        assert_eq!(objection(0.05, 0.19, 0.05), None);
        assert!(objection(0.05, 0.21, 0.05).unwrap().contains("more than 20.0 %"));
        assert!(objection(0.46, 0.0, 0.01).unwrap().contains("46.0 % of the readings"));
    }

    #[test]
    fn the_newest_fifth_is_by_time_and_not_by_device() {
        let day = |day: i64| DateTime::from_timestamp(day * 86_400, 0).unwrap();
        // Two devices, one after the other; both change on the last fifth of the days.
        let times: Vec<_> = (0..200).map(|at| day(at % 100)).collect();
        let rates = AlarmRates::of(&times, 1, |at| at % 100 >= 80);
        assert_eq!((rates.all, rates.newest_fifth), (0.2, 1.0));
    }
}
