//! `kilowatch lake`: what the lake holds, what it held, and SQL over it. Nothing here writes to it.
//!
//! `tables`, `versions`, `files` and `schema` tell what the Delta log says; `head`, `sql` and `diff` read rows within
//! `limits`, which `rows_out` writes as they come to a `target`.

mod diff;
mod files;
mod head;
mod limits;
mod opened;
mod rows_out;
mod schema;
mod sql;
mod tables;
mod target;
pub mod versions;

use std::process::ExitCode;

use clap::Subcommand;

use super::LEFTOVER_GRACE;
use crate::{context::Context, shutdown, stores};

/// Subcommands of `lake`.
#[derive(Debug, Subcommand)]
pub enum LakeCommand {
    /// Lists the tables: version, files, rows, bytes, and the span of their event times.
    Tables,
    /// Lists the versions of a table, newest first: when, what was done, by whom.
    Versions(versions::VersionsArgs),
    /// Lists the data files of a table with their ranges.
    Files(files::FilesArgs),
    /// Shows the columns of a table.
    Schema(schema::SchemaArgs),
    /// Shows some rows of a table.
    Head(head::HeadArgs),
    /// Runs a query over the tables, named as household.readings or power_plant.dead_letters.
    Sql(sql::SqlArgs),
    /// Says which rows and hourly aggregates differ between two versions of a table.
    Diff(diff::DiffArgs),
}

impl LakeCommand {
    /// Runs it and prints the answer; Ctrl-C ends it and leaves no half a file.
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let interrupted = shutdown::interrupted(LEFTOVER_GRACE * 2)?;
        let lake = stores::open_lake(context)?;
        let left = match &self {
            Self::Head(_) | Self::Sql(_) | Self::Diff(_) => "; a file that was to be written is as it was",
            Self::Tables | Self::Versions(_) | Self::Files(_) | Self::Schema(_) => "",
        };
        let work = async {
            match self {
                Self::Tables => tables::run(&lake, context).await,
                Self::Versions(args) => versions::run(&args, &lake, context).await,
                Self::Files(args) => files::run(&args, &lake, context).await,
                Self::Schema(args) => schema::run(&args, &lake, context).await,
                Self::Head(args) => head::run(&args, &lake, context).await,
                Self::Sql(args) => sql::run(args, &lake, context).await,
                Self::Diff(args) => diff::run(&args, &lake, context).await,
            }
        };
        tokio::select! {
            done = work => done.map(|()| ExitCode::SUCCESS),
            () = interrupted.cancelled() => Err(anyhow::anyhow!("interrupted before the end{left}")),
        }
    }
}
