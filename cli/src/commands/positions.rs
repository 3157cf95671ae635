//! `kilowatch speed status|rewind|skip|adopt`: where partitions stand, and what an operator changes of it.

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use kilowatch_shared::{
    log::LogAddress,
    position::{Offset, PartitionId, StreamName},
    views::{Audit, BatchViews, PositionVerb, RecordedChange, SpeedViews},
};
use kilowatch_speed::{
    member::{Doors, StopReason},
    positions::{Inspection, carry_out, inspect, plan_adopt, plan_rewind, plan_skip},
};
use serde::Serialize;

use crate::{
    context::Context,
    exit,
    lock::DataFolderLock,
    output,
    stores::{self, Stores},
};

/// Changes on record that a status shows.
const SHOWN_CHANGES: u32 = 10;

/// Arguments of `speed status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The stream.
    #[arg(long, default_value = "household")]
    stream: StreamName,
}

/// Arguments that the verbs have in common.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// The stream.
    #[arg(long, default_value = "household")]
    stream: StreamName,
    /// The partition.
    #[arg(long)]
    partition: u32,
    /// Why, for the record.
    #[arg(long, default_value = "")]
    reason: String,
    /// Does it without asking. Without it, and without a terminal to ask at, what would change is shown alone.
    #[arg(long)]
    yes: bool,
}

/// Arguments of `speed rewind`.
#[derive(Debug, Args)]
pub struct RewindArgs {
    #[command(flatten)]
    change: ChangeArgs,
    /// The recorded cut to go back to [default: the last one that the lake holds].
    #[arg(long, value_name = "OFFSET")]
    to: Option<u64>,
    /// Sends anomalies and dead letters of what is judged again to their topics again.
    #[arg(long)]
    resend: bool,
}

/// Arguments of `speed skip`.
#[derive(Debug, Args)]
pub struct SkipArgs {
    #[command(flatten)]
    change: ChangeArgs,
    /// Where to go on; refused unless it is where log and lake go on [default: there].
    #[arg(long, value_name = "OFFSET")]
    to: Option<u64>,
}

/// A verb with what is particular to it.
#[derive(Debug)]
pub enum Change {
    /// `rewind`.
    Rewind(RewindArgs),
    /// `skip`.
    Skip(SkipArgs),
    /// `adopt`.
    Adopt(ChangeArgs),
}

/// How a stream's partitions are.
#[derive(Debug, Serialize)]
struct StatusReport {
    /// The partitions of its topic.
    partitions: Vec<Inspection>,
    /// The newest changes that operators made.
    changes: Vec<RecordedChange>,
}

/// What a verb would change, or has changed.
#[derive(Debug, Serialize)]
struct ChangeReport {
    /// What.
    verb: PositionVerb,
    /// Which partition was named.
    partition: PartitionId,
    /// Whether it was done.
    done: bool,
    /// What that means.
    consequences: Vec<String>,
}

/// Shows the partitions of the stream's topic.
pub async fn status(args: StatusArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let profile = context.profile(&args.stream)?;
    let (stores, doors) = open(context).await?;
    let mut partitions = Vec::new();
    for found in doors.log.partitions(&profile.topic).await.context("asking the log")? {
        let id = PartitionId { stream: profile.name.clone(), source: found.source, partition: found.partition };
        partitions.push(inspect(&doors, stores.views.as_ref(), &id, stores.clock.now()).await?);
    }
    let changes = stores.views.position_changes(&profile.name, SHOWN_CHANGES).await?;
    let report = StatusReport { partitions, changes };
    output::answer(context.json, &report, |report| {
        let partitions = report.partitions.iter().map(partition_line);
        partitions.chain(report.changes.iter().map(change_line)).collect::<Vec<_>>().join("\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

impl Change {
    const fn verb(&self) -> PositionVerb {
        match self {
            Self::Rewind(_) => PositionVerb::Rewind,
            Self::Skip(_) => PositionVerb::Skip,
            Self::Adopt(_) => PositionVerb::Adopt,
        }
    }

    const fn common(&self) -> &ChangeArgs {
        match self {
            Self::Rewind(args) => &args.change,
            Self::Skip(args) => &args.change,
            Self::Adopt(args) => args,
        }
    }

    /// Plans the change, shows it, and does it where that was asked for.
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let args = self.common();
        let profile = context.profile(&args.stream)?;
        let (stores, doors) = open(context).await?;
        let source = doors.log.source(&profile.topic).await.context("asking the log")?;
        let partition = PartitionId { stream: profile.name.clone(), source, partition: args.partition };
        let plan = match &self {
            Self::Rewind(RewindArgs { to, resend, .. }) => {
                plan_rewind(&doors, &partition, to.map(Offset::new), *resend).await?
            }
            Self::Skip(SkipArgs { to, .. }) => plan_skip(&doors, &partition, to.map(Offset::new)).await?,
            Self::Adopt(_) => plan_adopt(&doors, &partition).await?,
        };
        let done = args.yes || (!context.json && ask(&plan.consequences)?);
        if done {
            // An embedded log has one owner: the process that has its folder.
            let _lock = match stores::log_address(context)? {
                LogAddress::Sqlite(_) => Some(DataFolderLock::acquire(&context.settings.data_dir)?),
                LogAddress::Kafka(_) => None,
            };
            let audit = Audit { at: stores.clock.now(), by: operator(context), reason: args.reason.clone() };
            carry_out(&doors, stores.views.as_ref(), &plan, &audit).await?;
        }
        let report = ChangeReport { verb: self.verb(), partition, done, consequences: plan.consequences };
        output::answer(context.json, &report, |report| {
            let end = if report.done { "done, and on record" } else { "nothing was changed; --yes does it" };
            format!("{}\n{end}", report.consequences.join("\n"))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn open(context: &Context) -> anyhow::Result<(Stores, Doors)> {
    let stores = Stores::open(context).await?;
    let log = stores::open_log(context, Some(&stores.views)).await?;
    let speed: Arc<dyn SpeedViews> = stores.views.clone();
    let batch: Arc<dyn BatchViews> = stores.views.clone();
    let doors = Doors::new(log, stores.lake.clone(), speed, batch);
    Ok((stores, doors))
}

/// Asks at a terminal; elsewhere the answer is no.
pub fn ask(consequences: &[String]) -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Ok(false);
    }
    let mut terminal = std::io::stderr().lock();
    write!(terminal, "{}\nDo this? [y/N] ", consequences.join("\n"))
        .and_then(|()| terminal.flush())
        .map_err(exit::writing)?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).context("reading the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Who asks, as far as the environment says.
pub fn operator(context: &Context) -> String {
    let variable = |name: &str| context.environment.get(name).cloned();
    let user = variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "unknown".to_owned());
    variable("HOSTNAME").map_or_else(|| user.clone(), |host| format!("{user}@{host}"))
}

fn partition_line(found: &Inspection) -> String {
    let offset = |offset: Option<Offset>| offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
    let owner = match found.owner_seen_at {
        None => "nobody".to_owned(),
        Some(at) if found.live => format!("a member, seen {}", instant(at)),
        Some(at) => format!("gone since {}", instant(at)),
    };
    let stop = found.stop.as_ref().map_or_else(String::new, |reason| {
        format!("\n  waits for an operator: {reason}\n  {}", way_out(reason, &found.partition))
    });
    format!(
        "{}: applied to {}, in the lake to {}, published to {}, log [{}, {}), lag {} messages, {:.1} s, owner {owner}{stop}",
        found.partition,
        offset(found.applied),
        offset(found.closed),
        offset(found.boundary),
        found.low,
        found.high,
        found.lag_records,
        found.lag_seconds,
    )
}

/// What mends it, or would say why it does not.
fn way_out(reason: &StopReason, partition: &PartitionId) -> String {
    let verb = match reason {
        StopReason::LakeNotACut { .. } | StopReason::LakeBelowBoundary { .. } => "rewind",
        StopReason::RetentionPassed { .. } => "skip",
        StopReason::LogTooShort { .. } | StopReason::OtherMessage { .. } => "adopt",
        StopReason::CannotJudge { .. } => return "run a build that knows these pins".to_owned(),
    };
    let PartitionId { stream, partition, .. } = partition;
    format!("`kilowatch speed {verb} --stream {stream} --partition {partition}` shows what can be done")
}

fn change_line(change: &RecordedChange) -> String {
    let gap = change.moved.gap.map_or_else(String::new, |gap| format!(", gap {gap}"));
    let reason = if change.audit.reason.is_empty() { String::new() } else { format!(": {}", change.audit.reason) };
    format!(
        "{} {} {} from {} to {}{gap}, by {}{reason}",
        instant(change.audit.at),
        change.verb.as_str(),
        change.partition,
        change.moved.from,
        change.moved.to,
        change.audit.by,
    )
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
