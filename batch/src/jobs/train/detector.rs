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

use super::{
    alarm_check::{AlarmRates, PAST_SHARE, alarm_rate},
    candidate::{Candidate, Findings, off_the_runtime},
    isolation_forest, k_means,
};
use crate::{
    BatchDeps, BatchError,
    features::{
        Known,
        judged::{JudgedRows, TrainWindow, read_judged},
    },
    training::{TrainError, cut_at_share, sample_ascending},
};

/// Rows that a detector and its threshold are taken from, drawn evenly from all of them.
pub(super) const SAMPLE_ROWS: usize = 200_000;

/// Fewest rows to learn from: a quantile of 0.99 then has ten rows above it.
pub(super) const MIN_ROWS: usize = 1000;

/// What a kernel learned.
pub(super) struct Learned {
    pub bytes: Vec<u8>,
    pub rows: usize,
    /// Parameters and findings of the training.
    pub params: Findings,
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
    known: Known,
) -> Result<Candidate, BatchError> {
    let Some(learner) = profile.detectors.iter().find_map(|detector| Learner::of(&detector.kernel, kind)) else {
        let section = "[[detectors]] with a kernel that learns it";
        return Err(TrainError::NotDeclared { stream: profile.name.to_string(), section }.into());
    };
    let (names, window_days, quantile) = learner.asks();
    let features = FeatureSet::try_new(names.iter().map(String::as_str), profile)
        .map_err(|feature| TrainError::UnknownFeature { feature })?;
    let start = Instant::now();
    let read = read_judged(&deps.lake, profile, &features, TrainWindow { days: window_days, known }).await?;
    let load_seconds = start.elapsed().as_secs_f64();
    let JudgedRows { rows, times } = read.rows;
    if rows.len() < MIN_ROWS {
        let (found, needed) = (rows.len() as u64, MIN_ROWS as u64);
        return Err(TrainError::TooLittle { what: "readings with a feature", found, needed, until: known.until }.into());
    }
    let train_from = times.iter().min().copied().unwrap_or(known.until);
    let train_until = times.iter().max().map_or(known.until, |last| *last + TimeDelta::microseconds(1));
    let (learned, rates, fit_seconds) = off_the_runtime(move || {
        let start = Instant::now();
        let all: Vec<usize> = (0..rows.len()).collect();
        let learned = learner.learn(&drawn(&rows, &all, seed), seed)?;
        let fit_seconds = start.elapsed().as_secs_f64();
        let held_out = held_out_rate(&learner, &rows, &times, seed)?;
        let rates = AlarmRates { learned: alarm_rate(&all, seed, |at| (learned.alarms)(&rows[at])), held_out };
        Ok((learned, rates, fit_seconds))
    })
    .await?;
    let mut params = learned.params;
    params.extend(rates.findings());
    params.extend([
        ("seed".to_owned(), seed.into()),
        ("alarm_quantile".to_owned(), quantile.into()),
        ("train_window_days".to_owned(), window_days.into()),
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

/// The share of the newest rows that a detector alarms on which learned from those before them.
fn held_out_rate(
    learner: &Learner,
    rows: &[FeatureValues],
    times: &[DateTime<Utc>],
    seed: u64,
) -> Result<Option<f64>, TrainError> {
    let mut ascending = times.to_vec();
    ascending.sort_unstable();
    let Some(cut) = cut_at_share(&ascending, PAST_SHARE) else { return Ok(None) };
    // By time and not by device: rows come one device after the other.
    let (past, newest): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(|at| times[*at] < cut);
    if past.len() < MIN_ROWS / 2 {
        return Ok(None);
    }
    let learned = learner.learn(&drawn(rows, &past, seed), seed)?;
    Ok(Some(alarm_rate(&newest, seed, |at| (learned.alarms)(&rows[at]))))
}

/// The rows that are learned from, by lot from those named.
fn drawn(rows: &[FeatureValues], among: &[usize], seed: u64) -> Vec<FeatureValues> {
    sample_ascending(among.len(), SAMPLE_ROWS, seed).into_iter().map(|at| rows[among[at]]).collect()
}
