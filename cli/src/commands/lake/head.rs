//! `lake head`.

use clap::Args;
use kilowatch_shared::lake::{delta::DeltaLake, session::ReadOnlySession};

use super::{
    limits::LimitArgs,
    opened::TableArgs,
    rows_out::{OutArgs, RowsOut},
};
use crate::context::Context;

/// Arguments of `lake head`.
#[derive(Debug, Args)]
pub struct HeadArgs {
    #[command(flatten)]
    table: TableArgs,
    /// How many rows.
    #[arg(short = 'n', long, default_value_t = 10)]
    rows: usize,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    out: OutArgs,
}

pub async fn run(args: &HeadArgs, lake: &DeltaLake, context: &Context) -> anyhow::Result<()> {
    let files = args.table.open(lake).await?;
    let tables = [(args.table.name.clone(), files)];
    let limits = args.limits.over(context.settings.lake.sql)?;
    let session = ReadOnlySession::over(lake.store(), &tables, limits)?;
    let mut rows = session.head(&args.table.name, args.rows).await?;
    let mut out = RowsOut::begin(&args.out, context.json, rows.schema())?;
    while let Some(batch) = rows.next().await? {
        out.write(&batch)?;
    }
    out.finish()
}
