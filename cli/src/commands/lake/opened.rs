//! Tables by the names that people give them, as of the points that they ask for.

use std::str::FromStr;

use anyhow::Context as _;
use clap::Args;
use kilowatch_shared::lake::{
    AsOf, InvalidAsOf, LakeError, TableName,
    delta::{DeltaLake, TableFiles},
};

/// A table, now or in the past.
#[derive(Debug, Args)]
pub struct TableArgs {
    /// The table: household.readings, power_plant.dead_letters; a bare stream means its readings.
    #[arg(value_name = "TABLE")]
    pub name: TableName,
    /// As it was at this version, or at this time in RFC 3339 [default: its newest version].
    #[arg(long, value_name = "VERSION|TIME")]
    pub as_of: Option<AsOf>,
}

impl TableArgs {
    /// Opens it.
    pub async fn open(&self, lake: &DeltaLake) -> anyhow::Result<TableFiles> {
        open(lake, &self.name, self.as_of).await
    }
}

/// Opens a table; of one that is not there, the error names those that are.
pub async fn open(lake: &DeltaLake, name: &TableName, as_of: Option<AsOf>) -> anyhow::Result<TableFiles> {
    match lake.open_table_as_of(&name.stream, name.table, as_of).await {
        Err(LakeError::NoSuchTable { .. }) => Err(lake.unknown_table(&name.to_string()).await.into()),
        Err(error @ (LakeError::OutOfReach { .. } | LakeError::NoVersionAt { .. })) => {
            Err(anyhow::Error::new(error).context(format!("`kilowatch lake versions {name}` lists what there is")))
        }
        other => other.with_context(|| format!("opening {name}")),
    }
}

/// A point in the history of one table, or of all that a query reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableAsOf {
    /// The table, if only one is meant.
    pub table: Option<TableName>,
    /// The point.
    pub as_of: AsOf,
}

impl FromStr for TableAsOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (table, point) = match text.split_once('=') {
            Some((table, point)) => (Some(table.parse::<TableName>().map_err(|error| error.to_string())?), point),
            None => (None, text),
        };
        let as_of = point.parse().map_err(|error: InvalidAsOf| error.to_string())?;
        Ok(Self { table, as_of })
    }
}
