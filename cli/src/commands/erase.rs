//! `kilowatch erase`: a device leaves the lake and the views.

use std::{process::ExitCode, sync::Arc};

use chrono::Utc;
use clap::Args;
use kilowatch_batch::{
    Summary,
    jobs::erase::{EraseReport, EraseRequest, erase},
};
use kilowatch_shared::{
    log::LogAddress,
    position::{DeviceId, StreamName},
    views::{Audit, RecordedErasure},
    wording::counted,
};
use serde::Serialize;

use super::positions::{ask, operator};
use crate::{
    context::Context,
    exit::WrongUse,
    lock::DataFolderLock,
    output,
    progress::FileBar,
    stores::{self, Stores},
};

/// Erasures on record that are listed.
const LISTED: u32 = 1000;

/// Arguments of `erase`.
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// The stream.
    #[arg(long, default_value = "household")]
    stream: StreamName,
    /// The device, as its readings name it.
    #[arg(long, required_unless_present = "list")]
    device: Option<DeviceId>,
    /// Only says what there is of it.
    #[arg(long)]
    dry_run: bool,
    /// Why, for the record. Do not name the device in it.
    #[arg(long, default_value = "")]
    reason: String,
    /// Does it without asking. Without it, and without a terminal to ask at, what there is of the device is shown alone.
    #[arg(long)]
    yes: bool,
    /// Lists what was erased; with --device, whether that one was.
    #[arg(long, conflicts_with_all = ["dry_run", "yes"])]
    list: bool,
}

/// What was done, or would be.
#[derive(Debug, Serialize)]
struct EraseAnswer {
    /// Whether it was done.
    done: bool,
    #[serde(flatten)]
    report: EraseReport,
}

/// Shows what there is of the device, and erases it where that was asked for.
pub async fn run(args: EraseArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let profile = context.profile(&args.stream)?;
    let stores = Stores::open(context).await?;
    if args.list {
        return list(&args, &stores, context).await;
    }
    let Some(device) = args.device else { return Err(WrongUse("--device: which one?".to_owned()).into()) };
    if args.reason.contains(device.as_str()) {
        return Err(WrongUse("--reason: the record must not name the device".to_owned()).into());
    }
    let deps = stores.batch();
    let mut request = EraseRequest {
        device,
        dry_run: true,
        audit: Audit { at: Utc::now(), by: operator(context), reason: args.reason.clone() },
        retention: context.settings.retention.clone(),
    };
    let found = erase(&deps, &profile, &request, Arc::new(FileBar::new())).await?;
    let done = !args.dry_run && (args.yes || (!context.json && ask(&describe(&found))?));
    let report = if done {
        // An embedded log has one owner, which remembers devices: the process that has its folder.
        let _lock = match stores::log_address(context)? {
            LogAddress::Sqlite(_) => Some(DataFolderLock::acquire(&context.settings.data_dir)?),
            LogAddress::Kafka(_) => None,
        };
        request.dry_run = false;
        request.audit.at = Utc::now();
        erase(&deps, &profile, &request, Arc::new(FileBar::new())).await?
    } else {
        found
    };
    output::answer(context.json, &EraseAnswer { done, report }, |answer| {
        let mut lines = describe(&answer.report);
        lines.push(if answer.done { "done, and on record" } else { "nothing was changed; --yes does it" }.to_owned());
        lines.join("\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(args: &EraseArgs, stores: &Stores, context: &Context) -> anyhow::Result<ExitCode> {
    let mut erasures = stores.views.erasures(&args.stream, LISTED).await?;
    if let Some(device) = &args.device {
        let name = device.sha256();
        erasures.retain(|erasure| erasure.device_sha256 == name);
    }
    output::answer(context.json, &erasures, |erasures| {
        if erasures.is_empty() { "nothing on record".to_owned() } else { lines_of(erasures).join("\n") }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn lines_of(erasures: &[RecordedErasure]) -> Vec<String> {
    let line = |erasure: &RecordedErasure| {
        let RecordedErasure { device_sha256, readings, dead_letters, audit, .. } = erasure;
        let reason = if audit.reason.is_empty() { String::new() } else { format!(": {}", audit.reason) };
        format!(
            "{} device sha256:{device_sha256}, {}, {}, by {}{reason}",
            output::instant(audit.at),
            counted(*readings, "reading"),
            counted(*dead_letters, "dead letter"),
            audit.by
        )
    };
    erasures.iter().map(line).collect()
}

/// What was or would be erased, and what remembers it all the same.
fn describe(report: &EraseReport) -> Vec<String> {
    let mut lines = vec![report.sentence()];
    let views = report.views;
    if !report.dry_run && !report.is_empty() {
        lines.push(format!(
            "  {} rewritten, {} of speed and {} that waited to be sent are gone",
            counted(report.states, "detector state"),
            counted(views.speed_windows, "window"),
            counted(views.outbox, "message"),
        ));
    }
    if let (Some(remembered), Some(named)) = (report.remembered_until, report.named_until) {
        lines.push(format!(
            "  older versions of the lake show the device until {}, and their log may name it until {}; a `kilowatch batch \
             vacuum` after that takes them",
            output::instant(remembered),
            output::instant(named)
        ));
    }
    lines.extend(report.models.iter().map(|model| {
        format!("  model {model} learned from the device by name and keeps it: train and promote another one")
    }));
    lines
}
