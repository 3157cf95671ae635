//! One file a subcommand; each parses its arguments, calls its layer and prints the answer.

mod batch;
mod benchmark;
mod config;
mod dead_letters;
mod drain;
mod erase;
mod explained;
mod ingest;
mod lake;
mod models;
mod positions;
mod serve;
mod simulate;
mod speed;
mod streams;
mod up;

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;
use kilowatch_shared::lake::session::DEEP_STACK_BYTES;

use crate::context::Context;

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Everything in one process: log, lake, views, detection, schedule and dashboard.
    Up(up::UpArgs),
    /// Jobs over the whole history.
    #[command(subcommand)]
    Batch(batch::BatchCommand),
    /// Live detection from the log.
    #[command(subcommand)]
    Speed(speed::SpeedCommand),
    /// Dashboard and API alone, beside a lake, views and log that others fill.
    Serve,
    /// Devices that send readings, for each of the built-in streams.
    Simulate(simulate::SimulateArgs),
    /// Trained models and which one serves.
    #[command(subcommand)]
    Models(models::ModelsCommand),
    /// The lake's tables and their history: what is there, what was there, and SQL over it.
    #[command(subcommand)]
    Lake(lake::LakeCommand),
    /// Messages that became no reading, and another try for them.
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLettersCommand),
    /// Erases a device from lake and views: shows what there is of it first.
    Erase(erase::EraseArgs),
    /// Streams that are known, and checks of your own profiles.
    #[command(subcommand)]
    Streams(streams::StreamsCommand),
    /// The effective configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

impl Command {
    /// Runs the subcommand to its end.
    ///
    /// # Errors
    /// What went wrong, as a chain for the operator.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Streams(command) => block_on(command.run(context)),
            Self::Config(command) => command.run(context),
            Self::Up(args) => block_on(up::run(args, context)),
            Self::Batch(command) => block_on(command.run(context)),
            Self::Speed(command) => block_on(command.run(context)),
            Self::Serve => block_on(serve::run(context)),
            Self::Simulate(args) => block_on(simulate::run(args, context)),
            Self::Lake(command) => on_deep_stacks(|| command.run(context)),
            Self::DeadLetters(command) => block_on(command.run(context)),
            Self::Erase(args) => block_on(erase::run(args, context)),
            Self::Models(command) => block_on(command.run(context)),
        }
    }
}

/// What blocking work that nobody waits for any more gets at the end of the process.
const LEFTOVER_GRACE: Duration = Duration::from_secs(1);

fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    // A forest that is still being grown for nobody must not keep a stopped process for minutes.
    runtime.shutdown_timeout(LEFTOVER_GRACE);
    outcome
}

/// The same where the work, and what it spawns, may go deep: queries are parsed here, and run on an engine's threads.
fn on_deep_stacks<F: Future<Output = anyhow::Result<ExitCode>>>(
    work: impl FnOnce() -> F + Send,
) -> anyhow::Result<ExitCode> {
    let run = move || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.enable_all().thread_stack_size(DEEP_STACK_BYTES).build()?;
        let outcome = runtime.block_on(work());
        runtime.shutdown_timeout(LEFTOVER_GRACE);
        outcome
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(DEEP_STACK_BYTES).spawn_scoped(scope, run)?;
        thread.join().map_err(|_| anyhow::anyhow!("the command broke; the lines above say where"))?
    })
}
