//! `kilowatch up`: everything in one process.
//!
//! The page answers first; [`history`] fills an empty lake with the very jobs that `kilowatch batch` runs; then the
//! speed layer, the schedule and, unless it is switched off, the [`live`] simulator go on until Ctrl-C.

mod history;
mod live;
pub mod probe;

use std::{path::PathBuf, pin::pin, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use futures::{FutureExt as _, future::FusedFuture as _};
use kilowatch_batch::schedule::run_schedule;
use kilowatch_shared::{
    log::SharedLog,
    position::{DeviceId, StreamName},
    stream::StreamProfile,
};
use kilowatch_speed::SpeedLayer;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{live::LiveOptions, probe::SpeedProbe};
use crate::{
    arguments,
    commands::{
        serve,
        simulate::{check_device, find_simulated},
        speed,
    },
    context::Context,
    lock::DataFolderLock,
    shutdown,
    stores::{self, Stores},
};

/// What the group and the others get, after speed's own deadline, until a stop is cut off. What was not committed is found
/// again at the next start.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// The stream, which is also the one that pages and API show [default: serving.default_stream, that is household].
    #[arg(long)]
    stream: Option<StreamName>,
    /// History of your own, in the UCI format or with a column for each field, plain or gzip; without it an empty lake
    /// gets a simulated one.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// The meter of a history that names none, and of a simulated household [default: meter-0001].
    #[arg(long)]
    device: Option<DeviceId>,
    /// Waits for readings from outside: no simulated history, no simulated devices. A stream of your own needs this flag.
    #[arg(long)]
    no_simulator: bool,
    /// Readings a second of all simulated devices together [default: the stream's own].
    #[arg(long, value_parser = arguments::rate)]
    rate: Option<f64>,
    /// Seed of the simulation.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs until Ctrl-C.
pub async fn run(args: UpArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let mut serving = context.settings.serving.clone();
    if let Some(stream) = &args.stream {
        serving.default_stream = stream.to_string();
    }
    let profile = context.profile(&StreamName::parse(&serving.default_stream)?)?;
    let simulated = if args.no_simulator { None } else { Some(find_simulated(&profile)?) };
    if simulated.is_some() && args.history.is_none() {
        check_device(&profile.name, args.device.as_ref())?;
    }
    let _lock = DataFolderLock::acquire(&context.settings.data_dir)?;
    let stop = shutdown::on_signal()?;
    let stores = Stores::open(context).await?;
    let log = stores::open_log(context, Some(&stores.views)).await?;
    log.create_topic(&profile.topic, profile.partitions).await.context("making the topic")?;
    stores::expand_table(&stores.lake, &profile).await?;

    let layer = speed::layer(&stores, &log, vec![profile.clone()], context.settings.speed.clone());
    let probe = Arc::new(SpeedProbe::new(Arc::clone(&layer), stop.clone()));
    let server = serve::application(context, serving, &stores, log.clone(), probe)?;
    tracing::info!("dashboard at http://{}", server.address());

    // Serving outlives the others: health says "stopping" until everything is committed.
    let serving_stop = CancellationToken::new();
    let serving = tokio::spawn(server.run_until_stopped(serving_stop.clone()));

    let filled = tokio::select! {
        filled = history::fill(&args, &profile, simulated, &stores, &log) => filled,
        () = stop.cancelled() => Ok(()),
    };
    let outcome = match filled {
        Ok(()) => {
            let simulator = simulated.map(|simulated| LiveOptions::of(&args, simulated, stores.clock.now()));
            run_layers(&profile, simulator, context, &stores, log, layer, &stop).await
        }
        Err(error) => Err(error),
    };
    serving_stop.cancel();
    serving.await.context("the server ended badly")??;
    outcome?;
    Ok(ExitCode::SUCCESS)
}

/// Speed, schedule, clean-up and simulator, until `stop`; the first that fails stops the others.
async fn run_layers(
    profile: &StreamProfile,
    simulator: Option<LiveOptions>,
    context: &Context,
    stores: &Stores,
    log: SharedLog,
    layer: Arc<SpeedLayer>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let layers_stop = stop.child_token();
    tasks.spawn({
        let stop = layers_stop.clone();
        async move { layer.run(stop).await.context("the speed layer") }
    });
    tasks.spawn({
        let retention_days = context.settings.log.retention_days;
        let (lake, clock) = (stores.lake.clone(), stores.clock.clone());
        let (profile, log, stop) = (profile.clone(), log.clone(), layers_stop.clone());
        async move { live::trim_log(&profile, &log, lake.as_ref(), retention_days, clock.as_ref(), &stop).await }
    });
    if let Some(options) = simulator {
        let (profile, stop) = (profile.clone(), layers_stop.clone());
        tasks.spawn(async move { live::simulate(options, &profile, log, &stop).await });
    }

    // Not a task of its own: a job that runs at the stop is dropped, and publishes nothing half.
    let (deps, profiles) = (stores.batch(), [profile.clone()]);
    let schedule = run_schedule(
        &deps,
        &profiles,
        &context.settings.schedule,
        context.settings.retention.clone(),
        layers_stop.clone(),
    );
    let mut schedule = pin!(schedule.fuse());
    let mut outcome = Ok(());
    tokio::select! {
        () = stop.cancelled() => {}
        Some(ended) = tasks.join_next() => outcome = flatten(ended),
        ended = &mut schedule => {
            outcome = ended.map_err(|problems| anyhow::anyhow!("the schedule: {}", problems.join("; ")));
        }
    }
    layers_stop.cancel();
    if !schedule.is_terminated() {
        // It gives its lease back, so that the next start need not wait for the end of it.
        let _stopped = schedule.await;
    }
    let deadline = context.settings.speed.stop_deadline() + STOP_MARGIN;
    let drained = tokio::time::timeout(deadline, async {
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = flatten(ended) {
                outcome = Err(error);
            }
        }
    });
    if drained.await.is_err() {
        tracing::warn!(
            deadline_secs = deadline.as_secs(),
            tasks.left = tasks.len(),
            "the stop took too long; the rest is replayed at the next start"
        );
    }
    outcome
}

fn flatten(ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> anyhow::Result<()> {
    ended.context("a task ended badly")?
}
