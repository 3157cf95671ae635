//! `lake tables`.

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    lake::{TableName, delta::DeltaLake},
    wording::grouped,
};
use serde::Serialize;

use super::opened;
use crate::{context::Context, output};

/// A table at its newest version.
#[derive(Debug, Serialize)]
struct TableSummary {
    table: TableName,
    version: i64,
    files: u64,
    rows: Option<u64>,
    size_bytes: u64,
    first_event: Option<DateTime<Utc>>,
    last_event: Option<DateTime<Utc>>,
}

pub async fn run(lake: &DeltaLake, context: &Context) -> anyhow::Result<()> {
    let mut summaries = Vec::new();
    for table in lake.stored_tables().await? {
        let files = opened::open(lake, &table, None).await?;
        let (first_event, last_event) = files.event_times().unzip();
        summaries.push(TableSummary {
            table,
            version: files.version,
            files: files.files.len() as u64,
            rows: files.rows(),
            size_bytes: files.size_bytes(),
            first_event,
            last_event,
        });
    }
    output::answer(context.json, &summaries, |summaries| {
        if summaries.is_empty() {
            return "the lake has no tables yet: ingest a file, or let speed close a segment".to_owned();
        }
        let rows: Vec<[String; 7]> = summaries.iter().map(row).collect();
        output::aligned(["table", "version", "files", "rows", "bytes", "first event", "last event"], &rows)
    })
}

fn row(summary: &TableSummary) -> [String; 7] {
    [
        summary.table.to_string(),
        summary.version.to_string(),
        grouped(summary.files),
        output::known(summary.rows.map(grouped)),
        grouped(summary.size_bytes),
        output::known(summary.first_event.map(output::instant)),
        output::known(summary.last_event.map(output::instant)),
    ]
}
