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
    stream::StreamProfile,
};
use kilowatch_speed::simulate::{HouseholdOptions, HouseholdSimulator, household};
use tokio_util::sync::CancellationToken;

use super::UpArgs;
use crate::{
    commands::simulate::{Plan, Sink, produce},
    progress::FileBar,
    stores::Stores,
};

/// The last day of the simulated history comes through the log, so that the live layer has something to judge and
/// its detectors are warm when the first live reading arrives.
const BACK_DATED_DAY: TimeDelta = TimeDelta::days(1);

/// Ingests, rolls up, trains and forecasts with the jobs of `kilowatch batch`; does nothing where that was done.
///
/// # Errors
/// A file that cannot be read, or a job that fails.
pub async fn fill(args: &UpArgs, profile: &StreamProfile, stores: &Stores, log: &SharedLog) -> anyhow::Result<()> {
    let empty = stores.lake.snapshot(&profile.name, LakeTable::Readings).await?.version.is_none();
    match &args.history {
        Some(file) => load(args, profile, stores, file).await,
        None if args.no_simulator => Ok(()),
        // A first start that was stopped half way left the rest to do.
        None if !empty => prepare(args, profile, stores, false).await,
        None => {
            let until = Utc::now().duration_trunc(TimeDelta::minutes(1))? - BACK_DATED_DAY;
            let folder = tempfile::tempdir().context("making a folder for the simulated history")?;
            let file = simulate_year(args, profile, folder.path(), until).await?;
            load(args, profile, stores, &file).await?;
            simulate_last_day(args, profile, log, until).await
        }
    }
}

async fn load(args: &UpArgs, profile: &StreamProfile, stores: &Stores, file: &Path) -> anyhow::Result<()> {
    let request = IngestRequest::new(file.to_owned(), args.device.clone());
    let report =
        ingest(&stores.batch(), profile, &request, Arc::new(FileBar::new())).await.context("ingesting the history")?;
    tracing::info!(ingest.rows = report.rows, "history is in the lake");
    prepare(args, profile, stores, report.rows > 0).await
}

/// Publishes what the lake holds, trains what no model serves for, and forecasts where that was not done or `has_news`.
/// Too little history to learn from is no reason not to start: the schedule tries again, and the pages say what is missing.
async fn prepare(args: &UpArgs, profile: &StreamProfile, stores: &Stores, has_news: bool) -> anyhow::Result<()> {
    let deps = stores.batch();
    rollup(&deps, profile, &RollupRequest { full: false }).await.context("rolling up the history")?;
    tracing::info!("usage is published");
    for kind in declared_models(profile) {
        if deps.views.serving_model(&profile.name, kind).await?.is_some() {
            continue;
        }
        let request = TrainRequest { kind, seed: args.seed, promote: true, until: None };
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
        match forecast(&deps, profile, &ForecastRequest { issued_at: None }).await {
            Ok(_) => tracing::info!("forecast is issued"),
            Err(error) => tracing::warn!(%error, "no forecast yet; the schedule tries again"),
        }
    }
    Ok(())
}

async fn simulate_year(
    args: &UpArgs,
    profile: &StreamProfile,
    folder: &Path,
    until: DateTime<Utc>,
) -> anyhow::Result<PathBuf> {
    let file = folder.join("simulated-household.csv");
    let utc_offset_minutes = profile.forecast.as_ref().map_or(0, |forecast| forecast.utc_offset_minutes);
    let options = HouseholdOptions { utc_offset_minutes, ..HouseholdOptions::history() };
    let (path, device, seed) = (file.clone(), args.device.clone(), args.seed);
    tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
        let mut out = std::io::BufWriter::new(std::fs::File::create(&path)?);
        household::write_uci(&mut out, device, until - TimeDelta::days(365), until, seed, options)?;
        std::io::Write::flush(&mut out)?;
        Ok(())
    })
    .await?
    .context("simulating a year of history")?;
    Ok(file)
}

async fn simulate_last_day(
    args: &UpArgs,
    profile: &StreamProfile,
    log: &SharedLog,
    from: DateTime<Utc>,
) -> anyhow::Result<()> {
    let simulator = HouseholdSimulator::new(args.device.clone(), args.seed, HouseholdOptions::live());
    let plan = Plan {
        from: Some(from),
        interval: TimeDelta::seconds(i64::from(profile.interval_secs)),
        count: Some(u64::try_from(BACK_DATED_DAY.num_seconds())? / u64::from(profile.interval_secs)),
        rate: None,
    };
    let mut sink = Sink::Log { log: log.clone(), topic: profile.topic.clone() };
    produce(simulator, &plan, &mut sink, &CancellationToken::new()).await
}
