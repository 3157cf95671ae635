//! kilowatch: one binary that knows what energy meters are doing.

mod commands;
mod context;
mod lock;
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

/// Knows what your energy meters are doing: history, live detection, forecasts and a dashboard in one binary.
#[derive(Debug, Parser)]
#[command(name = "kilowatch", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// Exit codes: 0 done, 1 failed, 2 wrong use.
fn main() -> ExitCode {
    let cli = Cli::parse();
    let context = match Context::try_new(cli.global) {
        Ok(context) => context,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = telemetry::init(&context.settings.log_filter) {
        eprintln!("error: {error:#}");
        return ExitCode::from(2);
    }
    match cli.command.run(&context) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
