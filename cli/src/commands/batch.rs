//! `kilowatch batch`: jobs over the whole history.

use std::{process::ExitCode, sync::Arc};

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use kilowatch_batch::{
    BatchDeps, Summary,
    jobs::{
        compact::{CompactReport, CompactRequest, compact},
        expire::{ExpireReport, ExpireRequest, expire},
        explain::explain,
        forecast::{ForecastRequest, forecast},
        rollup::{RollupRequest, rollup},
        train::{TrainReport, TrainRequest, train},
        vacuum::{VacuumReport, VacuumRequest, vacuum},
        verify::{VerifyReport, VerifyRequest, verify},
    },
    schedule::run_schedule,
};
use kilowatch_serving::NoSpeedHere;
use kilowatch_shared::{
    lake::{AsOf, LakeTable},
    model::ModelKind,
    position::StreamName,
    stream::StreamProfile,
    wording::counted,
};

use super::{
    benchmark::{self, BenchmarkArgs},
    explained::{self, ExplainedRollup},
    ingest::IngestArgs,
};
use crate::{arguments, context::Context, ops::Ops, output, progress::FileBar, shutdown, stores::Stores};

/// Subcommands of `batch`.
#[derive(Debug, Subcommand)]
pub enum BatchCommand {
    /// Brings history files into the lake; a file or row that is there already changes nothing.
    Ingest(IngestArgs),
    /// Recomputes the windows that changed and publishes them with the boundary.
    Rollup(RollupArgs),
    /// Trains a model and lets it serve.
    Train(TrainArgs),
    /// Issues the forecast of the hours ahead.
    Forecast(ForecastArgs),
    /// Merges small data files into large ones; no row changes, and nothing has to stand still for it.
    Compact(CompactArgs),
    /// Deletes what is older than its limit (section `retention`) from lake and views.
    Expire(ExpireArgs),
    /// Deletes what nobody needs any more: files of forgotten versions and of crashed commits, old log, old states.
    Vacuum(VacuumArgs),
    /// Runs ingests, roll-ups, trainings, forecasts and housekeeping at their times (section `schedule`) until Ctrl-C.
    Schedule(StreamArgs),
    /// Replays the lake and compares it with the views; exit code 1 on a difference.
    Verify(VerifyArgs),
    /// Measures this engine beside DuckDB, Polars and Spark, as far as they are installed, and keeps the figures.
    Benchmark(BenchmarkArgs),
}

/// Which stream.
#[derive(Debug, Args)]
pub struct StreamArgs {
    /// The stream.
    #[arg(long, default_value = "household")]
    stream: StreamName,
}

/// Arguments of `rollup`.
#[derive(Debug, Args)]
pub struct RollupArgs {
    #[command(flatten)]
    stream: StreamArgs,
    /// All windows, not only those that changed.
    #[arg(long)]
    full: bool,
    /// Also says which commits touched which windows, and what changed.
    #[arg(long)]
    explain: bool,
    /// The lake as of this version or time; refused where the views have seen more.
    #[arg(long, value_name = "VERSION|TIME")]
    as_of: Option<AsOf>,
}

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    #[command(flatten)]
    stream: StreamArgs,
    /// What to train: estimate, forecast or isolation-forest.
    #[arg(long, value_parser = arguments::model_kind)]
    model: ModelKind,
    /// Same seed and data, same model.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only readings before this instant.
    #[arg(long, value_name = "TIME", value_parser = arguments::instant)]
    until: Option<DateTime<Utc>>,
    /// Learns from the lake as of this version or time [default: its newest version].
    #[arg(long, value_name = "VERSION|TIME")]
    as_of: Option<AsOf>,
    /// Keeps the model that serves now.
    #[arg(long)]
    no_promote: bool,
}

/// Arguments of `forecast`.
#[derive(Debug, Args)]
pub struct ForecastArgs {
    #[command(flatten)]
    stream: StreamArgs,
    /// Issues it as of this instant, with what was known then [default: now].
    #[arg(long, value_name = "TIME", value_parser = arguments::instant)]
    issued_at: Option<DateTime<Utc>>,
    /// With the lake as of this version or time, and issued then unless --issued-at says when.
    #[arg(long, value_name = "VERSION|TIME")]
    as_of: Option<AsOf>,
}

/// Arguments of `compact`.
#[derive(Debug, Args)]
pub struct CompactArgs {
    #[command(flatten)]
    stream: StreamArgs,
    /// Only this table: readings or dead_letters [default: both].
    #[arg(long, value_parser = arguments::lake_table)]
    table: Option<LakeTable>,
    /// Size from which on a data file is large enough, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    target_size: u64,
}

/// Arguments of `vacuum`.
#[derive(Debug, Args)]
pub struct VacuumArgs {
    #[command(flatten)]
    stream: StreamArgs,
    /// Days that older versions stay readable [default: retention.versions_days].
    #[arg(long, value_name = "DAYS")]
    retention: Option<u32>,
    /// Only says what would be deleted.
    #[arg(long)]
    dry_run: bool,
    /// Takes a retention of 0 days as well: no job may be reading.
    #[arg(long)]
    force: bool,
}

/// Arguments of `expire`.
#[derive(Debug, Args)]
pub struct ExpireArgs {
    #[command(flatten)]
    stream: StreamArgs,
    /// Only says what would be deleted.
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    stream: StreamArgs,
    /// Rows of the lake whose windows are recomputed at once; fewer take less memory and more time.
    #[arg(long, default_value_t = VerifyRequest::default().rows_at_once)]
    rows_at_once: u64,
}

impl BatchCommand {
    /// Runs the job and prints its report.
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Ingest(args) => args.run(context).await,
            Self::Rollup(args) => {
                let (deps, profile) = opened(&args.stream, context).await?;
                let report = rollup(&deps, &profile, &RollupRequest { full: args.full, as_of: args.as_of }).await?;
                let explained = if args.explain { Some(explain(&deps, &profile, &report).await) } else { None };
                match explained {
                    Some(Ok(explanation)) => {
                        output::answer(context.json, &ExplainedRollup { report, explanation }, explained::describe)?;
                    }
                    // What was published is told all the same.
                    Some(Err(error)) => {
                        output::answer(context.json, &report, Summary::sentence)?;
                        return Err(anyhow::Error::new(error).context("explaining the roll-up, which is done"));
                    }
                    None => output::answer(context.json, &report, Summary::sentence)?,
                }
                Ok(ExitCode::SUCCESS)
            }
            Self::Train(args) => {
                let (deps, profile) = opened(&args.stream, context).await?;
                let request = TrainRequest {
                    kind: args.model,
                    seed: args.seed,
                    promote: !args.no_promote,
                    until: args.until,
                    as_of: args.as_of,
                };
                let report = train(&deps, &profile, &request).await?;
                output::answer(context.json, &report, describe_training)?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Forecast(args) => {
                let (deps, profile) = opened(&args.stream, context).await?;
                let request = ForecastRequest { issued_at: args.issued_at, as_of: args.as_of };
                let report = forecast(&deps, &profile, &request).await?;
                output::answer(context.json, &report, Summary::sentence)?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Compact(args) => {
                let (deps, profile) = opened(&args.stream, context).await?;
                let mut request = CompactRequest { target_bytes: args.target_size << 20, ..CompactRequest::default() };
                request.tables.retain(|table| args.table.is_none_or(|only| only == *table));
                let report = compact(&deps, &profile, &request, Arc::new(FileBar::new())).await?;
                output::answer(context.json, &report, describe_compaction)?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Expire(args) => {
                let (deps, profile) = opened(&args.stream, context).await?;
                let request = ExpireRequest { retention: context.settings.retention.clone(), dry_run: args.dry_run };
                let report = expire(&deps, &profile, &request, Arc::new(FileBar::of_rows())).await?;
                output::answer(context.json, &report, describe_expiry)?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Vacuum(args) => {
                let (deps, profile) = opened(&args.stream, context).await?;
                let mut retention = context.settings.retention.clone();
                retention.versions_days = args.retention.unwrap_or(retention.versions_days);
                let request = VacuumRequest { retention, dry_run: args.dry_run, force: args.force };
                let report = vacuum(&deps, &profile, &request, Arc::new(FileBar::new())).await?;
                output::answer(context.json, &report, describe_vacuum)?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Schedule(args) => {
                let stop = shutdown::on_signal()?;
                let (deps, profile) = opened(&args, context).await?;
                let ops = Ops::start(context, Arc::new(NoSpeedHere))?;
                tracing::info!(stream = %profile.name, "ready to run the schedule");
                let ran =
                    run_schedule(&deps, &[profile], &context.settings.schedule, context.job_settings(), stop).await;
                ops.stop().await?;
                ran.map_err(|problems| anyhow::anyhow!("the schedule: {}", problems.join("; ")))?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Verify(args) => {
                let (deps, profile) = opened(&args.stream, context).await?;
                let report = verify(&deps, &profile, &VerifyRequest { rows_at_once: args.rows_at_once }).await?;
                output::answer(context.json, &report, describe_verification)?;
                Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Self::Benchmark(args) => benchmark::run(args, context).await,
        }
    }
}

pub(super) async fn opened(args: &StreamArgs, context: &Context) -> anyhow::Result<(BatchDeps, StreamProfile)> {
    let profile = context.profile(&args.stream)?;
    Ok((Stores::open(context).await?.batch(), profile))
}

/// The model, its errors, and those of what it has to beat.
fn describe_training(report: &TrainReport) -> String {
    let mut lines = vec![report.sentence()];
    let held_out = report.metrics.iter().map(|metrics| ("this model", metrics));
    let baselines = report.baselines.iter().map(|(name, metrics)| (name.as_str(), metrics));
    for (name, metrics) in held_out.chain(baselines) {
        lines.push(format!(
            "  {name:32} RMSE {:.4}  MAE {:.4}  R2 {:.4}  on {} held-out rows",
            metrics.rmse, metrics.mae, metrics.r2, metrics.rows
        ));
    }
    lines.push(format!("  loaded in {:.2} s, fitted in {:.2} s", report.load_seconds, report.fit_seconds));
    lines.join("\n")
}

fn describe_compaction(report: &CompactReport) -> String {
    let mut lines = vec![report.sentence()];
    for table in report.tables.iter().filter(|table| table.merged_files > 0) {
        lines.push(format!(
            "  {:12} {} files of {} became {} of {}, up to version {}",
            table.table,
            table.merged_files,
            human_bytes(table.read_bytes),
            table.written_files,
            human_bytes(table.written_bytes),
            table.lake_version
        ));
    }
    lines.join("\n")
}

fn describe_expiry(report: &ExpireReport) -> String {
    let mut lines = vec![report.sentence()];
    for expired in &report.expired {
        let oldest =
            expired.oldest.map_or_else(String::new, |oldest| format!(", the oldest of {}", output::instant(oldest)));
        lines.push(format!(
            "  {:12} before {}: {} of the views{oldest}; {} of the lake, {}",
            expired.what.as_str(),
            expired.before.date_naive(),
            counted(expired.rows, "row"),
            counted(expired.lake_files, "file"),
            human_bytes(expired.lake_bytes)
        ));
        if expired.waiting_files > 0 {
            lines.push(format!(
                "  {:12} {} of the lake too old, and kept until published, and behind a detector state",
                "",
                counted(expired.waiting_files, "file")
            ));
        }
    }
    lines.join("\n")
}

fn describe_vacuum(report: &VacuumReport) -> String {
    let mut lines = vec![report.sentence()];
    for table in &report.tables {
        lines.push(format!(
            "  {:12} {} data files and {} log files, {}; versions from {} on stay readable",
            table.table,
            table.data_files,
            table.log_files,
            human_bytes(table.bytes),
            table.oldest_version
        ));
    }
    for (what, files, bytes) in
        [("states", report.states, report.state_bytes), ("half-written", report.staged_files, report.staged_bytes)]
    {
        lines.push(format!("  {what:12} {files} files, {}", human_bytes(bytes)));
    }
    lines.join("\n")
}

fn human_bytes(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

fn describe_verification(report: &VerifyReport) -> String {
    std::iter::once(report.sentence())
        .chain(report.not_replayed.iter().map(|partition| format!("  not replayed: {partition}")))
        .chain(report.examples.iter().map(|example| format!("  {example}")))
        .collect::<Vec<_>>()
        .join("\n")
}
