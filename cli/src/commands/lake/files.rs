//! `lake files`.

use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use kilowatch_shared::{
    lake::delta::{DeltaLake, LakeFile},
    wording::{counted, grouped},
};
use serde::Serialize;

use super::opened::TableArgs;
use crate::{context::Context, output};

/// Arguments of `lake files`.
#[derive(Debug, Args)]
pub struct FilesArgs {
    #[command(flatten)]
    table: TableArgs,
    /// How many, the newest buckets first.
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

/// A data file.
#[derive(Debug, Serialize)]
struct ListedFile {
    path: String,
    rows: Option<u64>,
    size_bytes: u64,
    bucket: Option<NaiveDate>,
    least_device: Option<String>,
    greatest_device: Option<String>,
    first_event: Option<DateTime<Utc>>,
    last_event: Option<DateTime<Utc>>,
}

impl From<&LakeFile> for ListedFile {
    fn from(file: &LakeFile) -> Self {
        let (least_device, greatest_device) = file.stats.device_id.clone().unzip();
        let (first_event, last_event) = file.stats.event_time.unzip();
        Self {
            path: file.path.to_string(),
            rows: file.stats.rows,
            size_bytes: file.size_bytes,
            bucket: file.bucket,
            least_device,
            greatest_device,
            first_event,
            last_event,
        }
    }
}

pub async fn run(args: &FilesArgs, lake: &DeltaLake, context: &Context) -> anyhow::Result<()> {
    let table = args.table.open(lake).await?;
    let mut files: Vec<&LakeFile> = table.files.iter().map(AsRef::as_ref).collect();
    files.sort_by(|a, b| b.bucket.cmp(&a.bucket).then_with(|| a.path.cmp(&b.path)));
    let left_out = files.len().saturating_sub(args.limit);
    let listed: Vec<ListedFile> = files.into_iter().take(args.limit).map(ListedFile::from).collect();
    output::answer(context.json, &listed, |listed| {
        let rows: Vec<[String; 6]> = listed.iter().map(row).collect();
        let mut text = output::aligned(["path", "rows", "bytes", "bucket", "devices", "event times"], &rows);
        if left_out > 0 {
            text.push_str(&format!("\nand {}; see --limit", counted(left_out as u64, "other file")));
        }
        text
    })
}

fn row(file: &ListedFile) -> [String; 6] {
    let span = |from: Option<String>, to: Option<String>| {
        output::known(from.zip(to).map(|(from, to)| if from == to { from } else { format!("{from} to {to}") }))
    };
    [
        file.path.clone(),
        output::known(file.rows.map(grouped)),
        grouped(file.size_bytes),
        output::known(file.bucket.map(|bucket| bucket.to_string())),
        span(file.least_device.clone(), file.greatest_device.clone()),
        span(file.first_event.map(output::instant), file.last_event.map(output::instant)),
    ]
}
