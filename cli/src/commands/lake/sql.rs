//! `lake sql`.

use std::io::Read as _;

use anyhow::Context as _;
use clap::Args;
use kilowatch_shared::lake::{
    AsOf, LakeError, TableName,
    delta::{DeltaLake, TableFiles},
    session::{LONGEST_QUERY_BYTES, Query, ReadOnlySession},
};
use tokio::task::spawn_blocking;

use super::{
    limits::LimitArgs,
    opened::{self, TableAsOf},
    rows_out::{OutArgs, RowsOut},
};
use crate::{context::Context, exit::WrongUse};

/// Arguments of `lake sql`.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// The query; `-` reads it from standard input.
    query: String,
    /// The tables as they were at a time, or one of them at a version, as grid.readings=12; may be given several times.
    /// A bare version is for a query that reads one table.
    #[arg(long, value_name = "[TABLE=]VERSION|TIME")]
    as_of: Vec<TableAsOf>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    out: OutArgs,
}

pub async fn run(args: SqlArgs, lake: &DeltaLake, context: &Context) -> anyhow::Result<()> {
    let limits = args.limits.over(context.settings.lake.sql)?;
    let text = if args.query == "-" { from_standard_input().await? } else { args.query };
    let query = Query::parse(&text)?;
    let tables = open_tables(&query, &args.as_of, lake).await?;
    let session = ReadOnlySession::over(lake.store(), &tables, limits)?;
    let mut rows = session.run(query).await?;
    let mut out = RowsOut::begin(&args.out, context.json, rows.schema())?;
    while let Some(batch) = rows.next().await? {
        out.write(&batch)?;
    }
    out.finish()
}

/// Reads the query on a thread that may stay behind: whoever is to write it may never do so.
async fn from_standard_input() -> anyhow::Result<String> {
    let read = || {
        let mut text = String::new();
        let longest = LONGEST_QUERY_BYTES as u64 + 1;
        std::io::stdin().take(longest).read_to_string(&mut text).map(|_| text)
    };
    spawn_blocking(read).await?.context("reading the query from standard input")
}

/// The tables that the query reads, each as of its point; all of the lake where it asks which ones there are.
async fn open_tables(
    query: &Query,
    points: &[TableAsOf],
    lake: &DeltaLake,
) -> anyhow::Result<Vec<(TableName, TableFiles)>> {
    check_points(points, query)?;
    let mut opened = Vec::new();
    for name in &query.tables {
        let as_of = point_of(name, points, query)?;
        opened.push((name.clone(), opened::open(lake, name, as_of).await?));
    }
    if query.asks_for_all {
        for name in lake.stored_tables().await?.into_iter().filter(|name| !query.tables.contains(name)) {
            let as_of = point_of(&name, points, query)?;
            match lake.open_table_as_of(&name.stream, name.table, as_of).await {
                // It was not there yet.
                Err(LakeError::NoVersionAt { .. }) => {}
                other => opened.push((name, other?)),
            }
        }
    }
    Ok(opened)
}

/// A point that counts for nothing is a slip, and would be answered from another version than was meant.
fn check_points(points: &[TableAsOf], query: &Query) -> anyhow::Result<()> {
    for (at, point) in points.iter().enumerate() {
        let what = point.table.as_ref().map_or_else(|| "all tables".to_owned(), ToString::to_string);
        if points.iter().take(at).any(|earlier| earlier.table == point.table) {
            return Err(WrongUse(format!("--as-of: more than one point for {what}; leave one")).into());
        }
        if point.table.as_ref().is_some_and(|table| !query.asks_for_all && !query.tables.contains(table)) {
            return Err(WrongUse(format!("--as-of {what}=...: the query does not read {what}")).into());
        }
    }
    Ok(())
}

/// Which point is meant for a table: its own one, else the one for all.
fn point_of(name: &TableName, points: &[TableAsOf], query: &Query) -> anyhow::Result<Option<AsOf>> {
    let own = points.iter().find(|point| point.table.as_ref() == Some(name));
    let Some(point) = own.or_else(|| points.iter().find(|point| point.table.is_none())) else { return Ok(None) };
    if let (None, AsOf::Version(version)) = (&point.table, point.as_of)
        && (query.tables.len() != 1 || query.asks_for_all)
    {
        let reason = format!("--as-of {version}: each table has versions of its own");
        return Err(WrongUse(format!("{reason}; write --as-of {name}={version}, or a time")).into());
    }
    Ok(Some(point.as_of))
}
