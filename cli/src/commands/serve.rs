//! `kilowatch serve`: dashboard and API alone.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use kilowatch_serving::{Application, NoSpeedHere, ReadinessProbe, ServingConfig, ServingDeps};
use kilowatch_shared::log::SharedLog;

use crate::{
    context::Context,
    shutdown,
    stores::{self, Stores},
    telemetry,
};

/// Serves until Ctrl-C.
pub async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let stop = shutdown::on_signal()?;
    let stores = Stores::open(context).await?;
    let log = stores::open_log(context, Some(&stores.views)).await?;
    let config = context.settings.serving.clone();
    let server = application(context, config, &stores, log, Arc::new(NoSpeedHere))?;
    tracing::info!("dashboard at http://{}", server.address());
    server.run_until_stopped(stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// The server over these stores, bound and ready to run.
///
/// # Errors
/// The address is taken or may not be listened on.
pub fn application(
    context: &Context,
    config: ServingConfig,
    stores: &Stores,
    log: SharedLog,
    readiness: Arc<dyn ReadinessProbe>,
) -> anyhow::Result<Application> {
    let deps = ServingDeps {
        views: stores.views.clone(),
        log: Some(log),
        lake: Some(stores.lake.clone()),
        streams: context.streams.clone(),
        clock: stores.clock.clone(),
        readiness,
        metrics: Some(telemetry::record_metrics().context("starting the metrics")?),
    };
    Ok(Application::build(deps, config)?)
}
