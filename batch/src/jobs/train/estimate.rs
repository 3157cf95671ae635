//! The estimate of the profile's target from the measures of the same instant.

use std::time::Instant;

use kilowatch_shared::{
    model::{ModelBody, ModelId, ModelKind, ModelManifest},
    stream::{ForecastConfig, StreamProfile},
};

use super::candidate::{Candidate, forest_params, off_the_runtime, worse_than};
use crate::{
    BatchDeps, BatchError,
    features::{Known, read::read_features},
    training::{EstimateSpec, ForestParams, TrainError, train_estimate},
};

/// Reads and trains.
pub(super) async fn candidate(
    deps: &BatchDeps,
    profile: &StreamProfile,
    seed: u64,
    known: Known,
) -> Result<Candidate, BatchError> {
    let Some(config) = &profile.forecast else {
        return Err(TrainError::NotDeclared { stream: profile.name.to_string(), section: "[forecast]" }.into());
    };
    let calendar = profile.calendar();
    let start = Instant::now();
    let read =
        read_features(&deps.lake, profile, &config.estimate_from, Some(&config.target), Some(calendar), known).await?;
    let load_seconds = start.elapsed().as_secs_f64();
    let spec = EstimateSpec {
        target: config.target.clone(),
        inputs: config.estimate_from.clone(),
        calendar,
        apparent_power: apparent_power(profile, config),
    };
    let params = ForestParams::default();
    let table = read.rows;
    let (trained, table) = off_the_runtime(move || {
        let trained = train_estimate(&table, &spec, &params, seed)?;
        Ok((trained, table))
    })
    .await?;
    let evaluation = trained.evaluation;
    let bytes = ModelBody::Estimate(trained.model).to_bytes().map_err(TrainError::from)?;
    let manifest = ModelManifest {
        id: ModelId::of(&bytes),
        stream: profile.name.clone(),
        kind: ModelKind::Estimate,
        created_at: deps.clock.now(),
        lake_version: read.lake_version,
        train_from: table.times.first().copied().unwrap_or(known.until),
        train_until: trained.test_from,
        train_rows: trained.train_rows as u64,
        params: forest_params(&params, table.names.len(), seed),
        features: table.names,
        target: Some(config.target.clone()),
        metrics: Some(evaluation.metrics),
        baselines: evaluation.baselines_by_name(),
    };
    let objection = evaluation.beaten_by().map(|baseline| worse_than(baseline, evaluation.metrics.rmse));
    Ok(Candidate { manifest, bytes, objection, load_seconds, fit_seconds: trained.fit_seconds })
}

/// The voltage and the current of a target in kW, by their units, if there is one of each.
fn apparent_power(profile: &StreamProfile, config: &ForecastConfig) -> Option<(String, String)> {
    let unit_of = |name: &str| profile.measure_index(name).map(|at| profile.measures[at].unit.as_str());
    let only = |unit: &str| {
        let mut of_unit = config.estimate_from.iter().filter(|name| unit_of(name) == Some(unit));
        of_unit.next().filter(|_| of_unit.next().is_none()).cloned()
    };
    (unit_of(&config.target) == Some("kW")).then_some(())?;
    Some((only("V")?, only("A")?))
}
