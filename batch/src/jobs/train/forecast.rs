//! The forecast of the profile's target in the hours ahead.

use std::time::Instant;

use kilowatch_shared::{
    model::{ModelBody, ModelId, ModelKind, ModelManifest},
    stream::StreamProfile,
};

use super::candidate::{Candidate, forest_params, named, off_the_runtime, worse_than};
use crate::{
    BatchDeps, BatchError,
    features::{
        Known,
        hourly::{HourlySeries, MIN_COMPLETENESS},
        read::read_hours,
    },
    training::{
        ForecastSpec, TrainError,
        forecast::{FOREST, INTERVAL_LEVEL, MAX_ROWS},
        train_forecast,
    },
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
    let start = Instant::now();
    let read = read_hours(&deps.lake, profile, &config.target, known).await?;
    let load_seconds = start.elapsed().as_secs_f64();
    let spec = ForecastSpec {
        target: config.target.clone(),
        calendar: profile.calendar(),
        horizon_hours: config.horizon_hours,
        max_rows: MAX_ROWS,
    };
    let devices: Vec<HourlySeries> = read.rows.into_values().collect();
    let trained = off_the_runtime(move || train_forecast(&devices, &spec, &FOREST, seed)).await?;
    let evaluation = trained.evaluation;
    let mut params = forest_params(&FOREST, trained.model.features.len(), seed);
    params.extend(named([
        ("horizon_hours", config.horizon_hours.into()),
        ("min_completeness", MIN_COMPLETENESS.into()),
        ("interval_level", INTERVAL_LEVEL.into()),
        ("interval_coverage", trained.coverage.into()),
        ("calibrated_from", trained.calibrate_from.start().to_rfc3339().into()),
        ("judged_from", trained.test_from.start().to_rfc3339().into()),
    ]));
    let features = trained.model.features.clone();
    let bytes = ModelBody::Forecast(trained.model).to_bytes().map_err(TrainError::from)?;
    let manifest = ModelManifest {
        id: ModelId::of(&bytes),
        stream: profile.name.clone(),
        kind: ModelKind::Forecast,
        created_at: deps.clock.now(),
        lake_version: read.lake_version,
        train_from: trained.train_from.start(),
        // What sized the intervals was learned from as well.
        train_until: trained.test_from.start(),
        train_rows: trained.train_rows as u64,
        features,
        target: Some(config.target.clone()),
        params,
        metrics: Some(evaluation.metrics),
        baselines: evaluation.baselines_by_name(),
    };
    let objection = evaluation.beaten_by().map(|baseline| worse_than(baseline, evaluation.metrics.rmse));
    Ok(Candidate { manifest, bytes, objection, load_seconds, fit_seconds: trained.fit_seconds })
}
