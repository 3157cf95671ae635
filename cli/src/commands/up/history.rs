//! Fills a lake with history: the user's own file, or a simulated year where there is nothing yet.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use kilowatch_batch::{
    ingest::IngestRequest,
    jobs::{
        forecast::{ForecastRequest, forecast},
        ingest::ingest,
        rollup::{RollupRequest, rollup},
        train::{TrainRequest, declared_models, train},
    },
};
use kilowatch_shared::{
    lake::{LakeTable, SegmentLake as _},
    log::SharedLog,
    model::ModelKind,
    position::DeviceId,
    stream::StreamProfile,
};
use kilowatch_speed::simulate::{Injection, SimulatedStream, SimulationOptions};
use tokio_util::sync::CancellationToken;

use super::UpArgs;
use crate::{
    commands::simulate::{Plan, Sink, produce, write_training_set, write_uci_history},
    progress::FileBar,
    stores::Stores,
};

/// A year of minutes.
const HOUSEHOLD_MINUTES: i64 = 365 * 24 * 60;

/// Ingests, rolls up, trains and forecasts with the jobs of `kilowatch batch`; does nothing where that was done.
///
/// The end of a simulated history comes through the log, so that the live layer has something to judge and its detectors
/// are warm when the first live reading arrives.
///
/// # Errors
/// A file that cannot be read, or a job that fails.
pub async fn fill(
    args: &UpArgs,
    profile: &StreamProfile,
    simulated: Option<&'static SimulatedStream>,
    stores: &Stores,
    log: &SharedLog,
) -> anyhow::Result<()> {
    let empty = stores.lake.snapshot(&profile.name, LakeTable::Readings).await?.version.is_none();
    match (&args.history, simulated) {
        (Some(file), _) => load(args, profile, stores, file).await,
        // A first start that was stopped half way left the rest to do.
        (None, Some(_)) if !empty => prepare(args, profile, stores, false).await,
        (None, Some(simulated)) => {
            let until = stores.clock.now().duration_trunc(TimeDelta::minutes(1))? - simulated.back_dated;
            let folder = tempfile::tempdir().context("making a folder for the simulated history")?;
            if let Some(file) = simulate_file(args, profile, simulated, folder.path(), until).await? {
                load(args, profile, stores, &file).await?;
            }
            simulate_the_end(args, profile, simulated, log, until).await
        }
        (None, None) => Ok(()),
    }
}

async fn load(args: &UpArgs, profile: &StreamProfile, stores: &Stores, file: &Path) -> anyhow::Result<()> {
    let request = IngestRequest::new(file.to_owned(), device_of(args)?);
    let report =
        ingest(&stores.batch(), profile, &request, Arc::new(FileBar::new())).await.context("ingesting the history")?;
    tracing::info!(ingest.rows = report.rows, "history is in the lake");
    prepare(args, profile, stores, report.rows > 0).await
}

/// Publishes what the lake holds, trains what no model serves for, and forecasts where that was not done or `has_news`.
/// Too little history to learn from is no reason not to start: the schedule tries again, and the pages say what is missing.
async fn prepare(args: &UpArgs, profile: &StreamProfile, stores: &Stores, has_news: bool) -> anyhow::Result<()> {
    let deps = stores.batch();
    rollup(&deps, profile, &RollupRequest::default()).await.context("rolling up the history")?;
    tracing::info!("usage is published");
    for kind in declared_models(profile) {
        if deps.views.serving_model(&profile.name, kind).await?.is_some() {
            continue;
        }
        let request = TrainRequest { kind, seed: args.seed, promote: true, until: None, as_of: None };
        match train(&deps, profile, &request).await {
            Ok(report) => {
                tracing::info!(model = kind.as_str(), model.id = %report.model_id, "model is trained");
            }
            Err(error) => tracing::warn!(model = kind.as_str(), %error, "no model yet; the schedule tries again"),
        }
    }
    let forecasts = deps.views.serving_model(&profile.name, ModelKind::Forecast).await?.is_some();
    let has_forecast = deps.views.latest_forecast(&profile.name, None).await?.is_some();
    if forecasts && (has_news || !has_forecast) {
        match forecast(&deps, profile, &ForecastRequest::default()).await {
            Ok(_) => tracing::info!("forecast is issued"),
            Err(error) => tracing::warn!(%error, "no forecast yet; the schedule tries again"),
        }
    }
    Ok(())
}

fn device_of(args: &UpArgs) -> anyhow::Result<DeviceId> {
    Ok(args.device.clone().map_or_else(|| DeviceId::parse(IngestRequest::DEFAULT_DEVICE), Ok)?)
}

/// The file that models learn from, up to `until`; none where a stream has nothing to learn.
async fn simulate_file(
    args: &UpArgs,
    profile: &StreamProfile,
    simulated: &'static SimulatedStream,
    folder: &Path,
    until: DateTime<Utc>,
) -> anyhow::Result<Option<PathBuf>> {
    let file = folder.join(format!("simulated-{}.csv", profile.name));
    let (path, profile, device, seed) = (file.clone(), profile.clone(), device_of(args)?, args.seed);
    let written = tokio::task::spawn_blocking(move || -> anyhow::Result<bool> {
        if profile.forecast.is_some() {
            let from = until - TimeDelta::minutes(HOUSEHOLD_MINUTES);
            write_uci_history(&path, &profile, device, from, HOUSEHOLD_MINUTES.unsigned_abs(), seed)?;
            return Ok(true);
        }
        let Some(training) = &simulated.training else { return Ok(false) };
        let options = SimulationOptions::new(&profile, seed, Injection::training(&profile));
        let simulator = simulated.open(&options);
        let plan = Plan::back_dated(None, training.interval, Some(training.rows), simulator.devices(), until);
        write_training_set(&path, &profile, simulator, &plan)?;
        Ok(true)
    });
    let written = written.await?.context("simulating the history")?;
    Ok(written.then_some(file))
}

/// What lies between the file and now, through the log.
async fn simulate_the_end(
    args: &UpArgs,
    profile: &StreamProfile,
    simulated: &SimulatedStream,
    log: &SharedLog,
    from: DateTime<Utc>,
) -> anyhow::Result<()> {
    let options = SimulationOptions {
        device: args.device.clone(),
        ..SimulationOptions::new(profile, args.seed, Injection::live(profile))
    };
    let simulator = simulated.open(&options);
    let interval = TimeDelta::seconds(i64::from(profile.interval_secs));
    let until = from + simulated.back_dated;
    let plan = Plan::back_dated(Some(from), interval, None, simulator.devices(), until);
    let mut sink = Sink::Log { log: log.clone(), topic: profile.topic.clone() };
    produce(simulator, &plan, &mut sink, &CancellationToken::new()).await
}
