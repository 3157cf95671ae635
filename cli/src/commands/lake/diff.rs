//! `lake diff`.

use arrow::{array::RecordBatch, util::pretty::pretty_format_batches};
use clap::{Args, ValueEnum};
use kilowatch_batch::{
    BatchError,
    diff::{ChangedRows, Versions, changed_hours, changed_rows, hours_schema, rows_schema},
};
use kilowatch_shared::{
    lake::{
        AsOf, LakeError, TableName,
        delta::DeltaLake,
        session::{Engine, QueryLimits, too_many_rows, too_much_memory, took_too_long},
    },
    wording::{counted, grouped},
};
use serde::Serialize;

use super::{
    limits::LimitArgs,
    opened,
    rows_out::{OutArgs, RowsOut},
};
use crate::{context::Context, output};

/// Differences of each kind that the summary shows.
const EXAMPLES: usize = 10;

/// What to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Listed {
    /// Every row that differs.
    Rows,
    /// Every hourly aggregate that differs.
    Hours,
}

/// Arguments of `lake diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The table: household.readings, power_plant.dead_letters; a bare stream means its readings.
    #[arg(value_name = "TABLE")]
    name: TableName,
    /// The earlier version, or a time.
    #[arg(long, value_name = "VERSION|TIME")]
    from: AsOf,
    /// The later one [default: the newest version].
    #[arg(long, value_name = "VERSION|TIME")]
    to: Option<AsOf>,
    /// Lists all of one kind instead of a summary; `--format`, `--output` and `--max-rows` are for that.
    #[arg(long)]
    list: Option<Listed>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    out: OutArgs,
}

/// How much differs.
#[derive(Debug, Serialize)]
struct DiffSummary {
    table: TableName,
    from_version: i64,
    to_version: i64,
    rows: ChangedRows,
    hourly_aggregates: u64,
}

pub async fn run(args: &DiffArgs, lake: &DeltaLake, context: &Context) -> anyhow::Result<()> {
    let limits = args.limits.over(context.settings.lake.sql)?;
    let compared = tokio::time::timeout(limits.time, compare(args, &limits, lake, context)).await;
    compared.unwrap_or_else(|_| Err(took_too_long(&limits).into())).map_err(|error| with_setting(error, &limits))
}

/// Names the setting where the comparison ran out of memory: the jobs that compare versions as well have none for it.
fn with_setting(error: anyhow::Error, limits: &QueryLimits) -> anyhow::Error {
    match error.downcast_ref() {
        Some(BatchError::Lake(LakeError::OutOfMemory { .. })) => too_much_memory(limits).into(),
        _ => error,
    }
}

async fn compare(args: &DiffArgs, limits: &QueryLimits, lake: &DeltaLake, context: &Context) -> anyhow::Result<()> {
    let from = opened::open(lake, &args.name, Some(args.from)).await?;
    let to = opened::open(lake, &args.name, args.to).await?;
    let (from_version, to_version) = (from.version, to.version);
    let versions = Versions::new(from, to).on(Engine::start()?, limits.memory_bytes);
    if let Some(listed) = args.list {
        return list(listed, &versions, args, limits, lake, context).await;
    }
    let mut row_examples = Examples::default();
    let (rows, buckets) = changed_rows::<BatchError>(lake, &versions, async |batch| {
        row_examples.add(&batch);
        Ok(())
    })
    .await?;
    let mut hour_examples = Examples::default();
    let hourly_aggregates = changed_hours::<BatchError>(lake, &versions, &buckets, async |batch| {
        hour_examples.add(&batch);
        Ok(())
    })
    .await?;
    let summary = DiffSummary { table: args.name.clone(), from_version, to_version, rows, hourly_aggregates };
    let (row_examples, hour_examples) = (row_examples.text()?, hour_examples.text()?);
    output::answer(context.json, &summary, |summary| describe(summary, &row_examples, &hour_examples))
}

async fn list(
    listed: Listed,
    versions: &Versions,
    args: &DiffArgs,
    limits: &QueryLimits,
    lake: &DeltaLake,
    context: &Context,
) -> anyhow::Result<()> {
    let schema = match listed {
        Listed::Rows => rows_schema(versions),
        Listed::Hours => hours_schema(),
    };
    let mut out = RowsOut::begin(&args.out, context.json, schema)?;
    let mut left = limits.rows;
    let mut write = |batch: RecordBatch| {
        let rows = left.min(batch.num_rows() as u64);
        left -= rows;
        let kept = batch.slice(0, usize::try_from(rows)?);
        out.write(&kept)?;
        if kept.num_rows() < batch.num_rows() { Err(too_many_rows(limits).into()) } else { anyhow::Ok(()) }
    };
    match listed {
        Listed::Rows => {
            changed_rows::<anyhow::Error>(lake, versions, async |batch| write(batch)).await?;
        }
        Listed::Hours => {
            let (_, buckets) = changed_rows::<BatchError>(lake, versions, async |_| Ok(())).await?;
            changed_hours::<anyhow::Error>(lake, versions, &buckets, async |batch| write(batch)).await?;
        }
    }
    out.finish()
}

fn describe(summary: &DiffSummary, rows: &str, hours: &str) -> String {
    let DiffSummary { table, from_version, to_version, rows: counts, hourly_aggregates } = summary;
    let mut text = format!(
        "{table}, version {from_version} to {to_version}: {} added, {} removed, {} changed; {}",
        counted(counts.added, "row"),
        grouped(counts.removed),
        grouped(counts.changed),
        if *hourly_aggregates == 1 {
            "1 hourly aggregate differs".to_owned()
        } else {
            format!("{} differ", counted(*hourly_aggregates, "hourly aggregate"))
        },
    );
    for (examples, kind) in [(rows, "rows"), (hours, "hours")] {
        if !examples.is_empty() {
            text.push_str(&format!("\nsome {kind} (all of them with --list {kind}):\n{examples}"));
        }
    }
    text
}

/// The first rows of an answer.
#[derive(Debug, Default)]
struct Examples {
    batches: Vec<RecordBatch>,
    rows: usize,
}

impl Examples {
    fn add(&mut self, batch: &RecordBatch) {
        let rows = batch.num_rows().min(EXAMPLES - self.rows);
        if rows > 0 {
            self.batches.push(batch.slice(0, rows));
            self.rows += rows;
        }
    }

    fn text(&self) -> anyhow::Result<String> {
        if self.batches.is_empty() { Ok(String::new()) } else { Ok(pretty_format_batches(&self.batches)?.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_needs_too_much_memory_is_told_which_setting_to_raise() {
        let limits = QueryLimits { time: Duration::from_secs(1), memory_bytes: 16 << 20, rows: 1 };
        let out_of_memory = LakeError::OutOfMemory { reason: "HashJoinInput".to_owned() };
        let said = with_setting(BatchError::Lake(out_of_memory).into(), &limits).to_string();
        assert!(said.contains("more than 16 MB") && said.contains("`lake.sql.max_memory_mb`"), "{said}");
        let other = BatchError::Lake(LakeError::Query { reason: "broken".to_owned() });
        assert!(with_setting(other.into(), &limits).to_string().contains("broken"));
    }
}
