//! `kilowatch config`: what is in force, and why.

use std::process::ExitCode;

use clap::Subcommand;

use crate::{context::Context, output};

/// Subcommands of `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Shows each value and where it came from; secrets are masked.
    Show,
}

impl ConfigCommand {
    /// Prints the answer.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Self::Show = self;
        output::answer(context.json, &context.shown_settings()?, |values| {
            let width = values.iter().map(|value| value.key.len()).max().unwrap_or(0);
            let lines: Vec<String> =
                values.iter().map(|v| format!("{:width$}  {}  ({})", v.key, v.value, v.origin)).collect();
            lines.join("\n")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
