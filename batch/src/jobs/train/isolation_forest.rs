//! The isolation forest that speed judges with: grown from rows of the whole history, so that it knows every season.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    detect::isolation_forest::{ForestParams, IsolationForestConfig, IsolationForestModel, TrainingRows, train},
    model::{ModelId, ModelKind, ModelManifest},
    stream::{KernelConfig, StreamProfile},
};

use super::candidate::{Candidate, named, off_the_runtime};
use crate::{
    BatchDeps, BatchError,
    features::{FeatureTable, read::read_features},
    training::{TrainError, sample_ascending},
};

/// Rows that the forest and its threshold are taken from, drawn evenly from all of them.
const SAMPLE_ROWS: usize = 200_000;

/// Rows that tell how often the forest raises an alarm: a rate of 1 % is then known to 0.1 percentage points.
const PROBE_ROWS: usize = 10_000;

/// Fewest rows to learn from: a quantile of 0.99 then has ten rows above it.
const MIN_ROWS: usize = 1000;

/// A forest that raises so many times its share of alarms in the newest fifth of the history does not know the season
/// (one fitted on 17 hours of January flagged 46 % of the year).
const MAX_ALARM_FACTOR: f64 = 5.0;

/// Reads and trains.
pub(super) async fn candidate(
    deps: &BatchDeps,
    profile: &StreamProfile,
    seed: u64,
    until: DateTime<Utc>,
) -> Result<Candidate, BatchError> {
    let Some(config) = profile.detectors.iter().find_map(|detector| match &detector.kernel {
        KernelConfig::IsolationForest(config) => Some(config.clone()),
        _ => None,
    }) else {
        let section = "[detectors.kernel.isolation_forest]";
        return Err(TrainError::NotDeclared { stream: profile.name.to_string(), section }.into());
    };
    let start = Instant::now();
    let read = read_features(&deps.lake, profile, &config.features, None, None, until).await?;
    let load_seconds = start.elapsed().as_secs_f64();
    let table = read.rows;
    if table.rows() < MIN_ROWS {
        let (found, needed) = (table.rows() as u64, MIN_ROWS as u64);
        return Err(TrainError::TooLittle { what: "complete readings", found, needed, until }.into());
    }
    let train_from = table.times.first().copied().unwrap_or(until);
    let train_until = table.times.last().map_or(until, |last| *last + TimeDelta::microseconds(1));
    let quantile = config.alarm_quantile;
    let grown = off_the_runtime(move || grow(&table, &config, seed)).await?;
    let params = named([
        ("algorithm", "isolation forest".into()),
        ("seed", seed.into()),
        ("trees", ForestParams::default().trees.into()),
        ("sample_size", grown.model.sample_size().into()),
        ("alarm_quantile", quantile.into()),
        ("threshold", grown.model.threshold().into()),
        ("alarm_rate", grown.alarm_rate.into()),
        ("alarm_rate_newest_fifth", grown.newest_alarm_rate.into()),
    ]);
    let bytes = grown.model.to_bytes().map_err(TrainError::from)?;
    let manifest = ModelManifest {
        id: ModelId::of(&bytes),
        stream: profile.name.clone(),
        kind: ModelKind::IsolationForest,
        created_at: deps.clock.now(),
        lake_version: read.lake_version,
        train_from,
        train_until,
        train_rows: grown.rows as u64,
        features: grown.model.feature_names().map(str::to_owned).collect(),
        target: None,
        params,
        metrics: None,
        baselines: Default::default(),
    };
    let most = MAX_ALARM_FACTOR * (1.0 - quantile);
    let objection = (grown.newest_alarm_rate > most).then(|| {
        let rate = 100.0 * grown.newest_alarm_rate;
        format!("it would flag {rate:.1} % of the newest fifth of the history, more than {:.1} %", 100.0 * most)
    });
    Ok(Candidate { manifest, bytes, objection, load_seconds, fit_seconds: grown.fit_seconds })
}

struct Grown {
    model: IsolationForestModel,
    rows: usize,
    alarm_rate: f64,
    newest_alarm_rate: f64,
    fit_seconds: f64,
}

fn grow(table: &FeatureTable, config: &IsolationForestConfig, seed: u64) -> Result<Grown, TrainError> {
    let start = Instant::now();
    let sample = sample_ascending(table.rows(), SAMPLE_ROWS, seed);
    let values: Vec<f64> =
        sample.iter().flat_map(|row| table.columns.iter().map(|column| f64::from(column[*row]))).collect();
    let rows = TrainingRows { features: &config.features, values: &values };
    let model = train(rows, ForestParams::default(), config.alarm_quantile, seed)?;
    let fit_seconds = start.elapsed().as_secs_f64();
    let newest = table.rows() * 4 / 5;
    Ok(Grown {
        alarm_rate: alarm_rate(&model, table, 0, seed),
        newest_alarm_rate: alarm_rate(&model, table, newest, seed),
        rows: sample.len(),
        model,
        fit_seconds,
    })
}

/// Share of alarms among rows that are drawn anew from row `from` on.
fn alarm_rate(model: &IsolationForestModel, table: &FeatureTable, from: usize, seed: u64) -> f64 {
    let probe = sample_ascending(table.rows() - from, PROBE_ROWS, !seed);
    let alarms = probe
        .iter()
        .filter(|row| {
            let values: Vec<Option<f64>> =
                table.columns.iter().map(|column| Some(f64::from(column[from + **row]))).collect();
            model.score(&values) >= model.threshold()
        })
        .count();
    alarms as f64 / probe.len().max(1) as f64
}
