//! kilowatch: one binary that knows what energy meters are doing.

mod arguments;
mod commands;
mod context;
mod exit;
mod lock;
mod ops;
mod output;
mod progress;
mod settings;
mod shutdown;
mod stores;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

use commands::Command;
use context::{Context, GlobalArgs};
use exit::WrongUse;

/// Knows what your energy meters are doing: history, live detection, forecasts and a dashboard in one binary.
#[derive(Debug, Parser)]
#[command(name = "kilowatch", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    run(cli).unwrap_or_else(|error| exit::explain(&error))
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let context = Context::try_new(cli.global).map_err(|error| WrongUse(format!("{error:#}")))?;
    telemetry::init(&context.settings.log_filter).map_err(|error| WrongUse(format!("{error:#}")))?;
    cli.command.run(&context)
}
