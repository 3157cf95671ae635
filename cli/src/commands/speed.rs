//! `kilowatch speed`: live detection from the log.

use std::{process::ExitCode, sync::Arc, time::Instant};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use kilowatch_shared::{
    log::{LogAddress, SharedLog},
    position::StreamName,
    stream::StreamProfile,
    wording::counted,
};
use kilowatch_speed::{SpeedConfig, SpeedDeps, SpeedLayer};
use serde::Serialize;

use super::{
    drain::Drain,
    positions::{self, Change, ChangeArgs, RewindArgs, SkipArgs, StatusArgs},
    up::probe::SpeedProbe,
};
use crate::{
    context::Context,
    lock::DataFolderLock,
    ops::Ops,
    output, shutdown,
    stores::{self, Stores},
};

/// Longest micro-batch of a drain in milliseconds: nothing more will come that would be worth waiting for.
const DRAIN_WINDOW_MS: u64 = 200;

/// Subcommands of `speed`.
#[derive(Debug, Subcommand)]
pub enum SpeedCommand {
    /// Runs one member of the stream's group until Ctrl-C.
    Run(RunArgs),
    /// Where the partitions of a stream stand, and what keeps them.
    Status(StatusArgs),
    /// Goes back to a cut: what comes after it is judged again.
    Rewind(RewindArgs),
    /// Goes on behind messages that the log no longer has, and puts the gap on record.
    Skip(SkipArgs),
    /// Takes a topic that was deleted and made again for another one.
    Adopt(ChangeArgs),
}

/// Arguments of `speed run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The stream.
    #[arg(long, default_value = "household")]
    stream: StreamName,
    /// Stops as soon as nothing is left to read and to tell, everything closed to the lake.
    ///
    /// In a group that is as soon as this member's own partitions have no lag, and other members have applied what was in
    /// theirs when this one started. So a member that stands by without partitions ends with the others, and takes over if
    /// one of them dies. A partition of this member that waits for an operator ends the run with exit code 1, and so does a
    /// lake that did not get everything, or refused what a partition needs to go on, for `speed.stop_deadline_ms`.
    #[arg(long)]
    until_caught_up: bool,
}

/// What a run did.
#[derive(Debug, Serialize)]
struct RunReport {
    /// Messages applied by this run.
    messages: u64,
    /// From the start of the layer to the last segment in the lake.
    seconds: f64,
}

impl SpeedCommand {
    /// Runs the member, or the verb.
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Run(args) => args.run(context).await,
            Self::Status(args) => positions::status(args, context).await,
            Self::Rewind(args) => Change::Rewind(args).run(context).await,
            Self::Skip(args) => Change::Skip(args).run(context).await,
            Self::Adopt(args) => Change::Adopt(args).run(context).await,
        }
    }
}

impl RunArgs {
    async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let args = self;
        let profile = context.profile(&args.stream)?;
        // Members of a consumer group run beside each other; an embedded log has one owner.
        let _lock = match stores::log_address(context)? {
            LogAddress::Sqlite(_) => Some(DataFolderLock::acquire(&context.settings.data_dir)?),
            LogAddress::Kafka(_) => None,
        };
        let stop = shutdown::on_signal()?;
        let stores = Stores::open(context).await?;
        let log = stores::open_log(context, Some(&stores.views)).await?;
        log.create_topic(&profile.topic, profile.partitions).await.context("making the topic")?;
        stores::expand_table(&stores.lake, &profile).await?;
        let mut config = context.settings.speed.clone();
        if args.until_caught_up {
            config.window_ms = config.window_ms.min(DRAIN_WINDOW_MS);
        }
        let drain = match args.until_caught_up {
            true => Some(Drain::begin(&log, stores.views.clone(), &profile, config.stop_deadline()).await?),
            false => None,
        };
        let layer = layer(&stores, &log, vec![profile.clone()], config);
        let probe = Arc::new(SpeedProbe::new(Arc::clone(&layer), stop.clone()));
        let ops = Ops::start(context, probe)?;
        let started = Instant::now();
        let drained = async {
            let Some(drain) = drain else { return Ok(false) };
            let drained = tokio::select! {
                () = stop.cancelled() => Ok(false),
                drained = drain.wait(Arc::clone(&layer)) => drained.map(|()| true),
            };
            stop.cancel();
            drained
        };
        let (ran, drained) = tokio::join!(
            async {
                let ran = layer.run(stop.clone()).await.context("the speed layer");
                // A layer that could not run leaves nothing to wait for.
                stop.cancel();
                ran
            },
            drained
        );
        ops.stop().await?;
        ran?;
        if drained? {
            Drain::was_closed(&layer.status())?;
        }
        let (messages, seconds) = (layer.status().applied_messages, started.elapsed().as_secs_f64());
        let report = RunReport { messages, seconds };
        output::answer(context.json, &report, |r| format!("{} in {:.1} s", counted(r.messages, "message"), r.seconds))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The speed layer over these stores.
pub fn layer(stores: &Stores, log: &SharedLog, profiles: Vec<StreamProfile>, config: SpeedConfig) -> Arc<SpeedLayer> {
    let deps = SpeedDeps {
        log: log.clone(),
        lake: stores.lake.clone(),
        views: stores.views.clone(),
        clock: stores.clock.clone(),
    };
    Arc::new(SpeedLayer::new(deps, profiles, config))
}
