//! `lake versions`.

use clap::Args;
use kilowatch_shared::{
    lake::{
        LakeError, TableName,
        delta::{CommitAuthor, DeltaLake, TableVersion},
    },
    wording::{counted, grouped},
};

use crate::{context::Context, output};

/// Segments of a commit that its line names; a member closes all its partitions at once.
const NAMED_SEGMENTS: usize = 4;

/// Arguments of `lake versions`.
#[derive(Debug, Args)]
pub struct VersionsArgs {
    /// The table: household.readings, power_plant.dead_letters; a bare stream means its readings.
    #[arg(value_name = "TABLE")]
    name: TableName,
    /// How many, from 1 to 1000.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Those before this version [default: from the newest one on].
    #[arg(long, value_name = "VERSION")]
    before: Option<i64>,
}

pub async fn run(args: &VersionsArgs, lake: &DeltaLake, context: &Context) -> anyhow::Result<()> {
    let versions = match lake.versions(&args.name.stream, args.name.table, args.before, args.limit).await {
        Err(LakeError::NoSuchTable { .. }) => return Err(lake.unknown_table(&args.name.to_string()).await.into()),
        other => other?,
    };
    output::answer(context.json, &versions, |versions| {
        let rows: Vec<[String; 6]> = versions.iter().map(row).collect();
        output::aligned(["version", "time", "operation", "files", "rows", "by"], &rows)
    })
}

fn row(version: &TableVersion) -> [String; 6] {
    let change = |added: Option<u64>, removed: Option<u64>, removes: bool| {
        let added = output::known(added.map(|count| format!("+{}", grouped(count))));
        if removes { format!("{added} -{}", output::known(removed.map(grouped))) } else { added }
    };
    let removes = version.files_removed > 0;
    [
        version.version.to_string(),
        output::instant(version.at),
        version.operation.clone(),
        change(Some(version.files_added), Some(version.files_removed), removes),
        change(version.rows_added, version.rows_removed, removes),
        author(&version.by),
    ]
}

/// Who made a commit, in a few words.
pub fn author(author: &CommitAuthor) -> String {
    match author {
        CommitAuthor::Segments { segments } => {
            let named: Vec<String> = segments
                .iter()
                .take(NAMED_SEGMENTS)
                .map(|segment| format!("{}/{} {}", segment.partition.source, segment.partition.partition, segment.span))
                .collect();
            let others = segments.len().saturating_sub(NAMED_SEGMENTS);
            let more = if others > 0 { format!(" and {}", counted(others as u64, "other")) } else { String::new() };
            format!("segments {}{more}", named.join(", "))
        }
        CommitAuthor::File { name, sha256, counts } => {
            let told: Vec<String> =
                counts.iter().filter(|(_, rows)| **rows > 0).map(|(what, rows)| format!("{rows} {what}")).collect();
            let short: String = sha256.chars().take(12).collect();
            format!("file {name} ({short}): {}", told.join(", "))
        }
        CommitAuthor::Replay { dead_letters } => format!("replay of {}", counted(*dead_letters, "dead letter")),
        CommitAuthor::Job => "a batch job".to_owned(),
        CommitAuthor::Other { engine } => engine.as_deref().unwrap_or("another program").to_owned(),
    }
}
