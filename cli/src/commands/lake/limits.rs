//! What one command may use, where it asks for other than the settings' limits.

use clap::Args;
use kilowatch_shared::lake::session::QueryLimits;

use crate::{exit::WrongUse, settings::SqlSettings};

/// Limits of a command that reads rows.
#[derive(Debug, Args)]
pub struct LimitArgs {
    /// Most rows of the answer [default: lake.sql.max_rows].
    #[arg(long)]
    max_rows: Option<u64>,
    /// Most seconds [default: lake.sql.max_secs].
    #[arg(long)]
    max_secs: Option<u64>,
    /// Most memory in MB [default: lake.sql.max_memory_mb].
    #[arg(long)]
    max_memory_mb: Option<usize>,
}

impl LimitArgs {
    /// The settings' limits, with those in their place that the command line names.
    ///
    /// # Errors
    /// [`WrongUse`] with what is wrong about them.
    pub fn over(&self, configured: SqlSettings) -> anyhow::Result<QueryLimits> {
        let settings = SqlSettings {
            max_rows: self.max_rows.unwrap_or(configured.max_rows),
            max_secs: self.max_secs.unwrap_or(configured.max_secs),
            max_memory_mb: self.max_memory_mb.unwrap_or(configured.max_memory_mb),
        };
        let problems = settings.problems();
        if problems.is_empty() { Ok(settings.limits()) } else { Err(WrongUse(problems.join("\n")).into()) }
    }
}
