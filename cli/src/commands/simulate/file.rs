//! Simulated history as a file.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{position::DeviceId, stream::StreamProfile};
use kilowatch_speed::simulate::{HouseholdOptions, Simulator, csv, household};

use super::Plan;

/// Writes the minutes of a household in the UCI format, without anomalies and with the gaps of the original.
///
/// # Errors
/// The file cannot be written.
pub fn write_uci_history(
    path: &Path,
    profile: &StreamProfile,
    device: DeviceId,
    from: DateTime<Utc>,
    minutes: u64,
    seed: u64,
) -> anyhow::Result<()> {
    let until = from + TimeDelta::minutes(i64::try_from(minutes)?);
    let options = HouseholdOptions { utc_offset_minutes: profile.utc_offset_minutes, ..HouseholdOptions::history() };
    let mut out = create(path)?;
    household::write_uci(&mut out, device, from, until, seed, options)?;
    out.flush()?;
    Ok(())
}

/// Writes the readings of a plan with a column for each field, and the ground truth.
///
/// # Errors
/// The file cannot be written.
pub fn write_training_set(
    path: &Path,
    profile: &StreamProfile,
    mut simulator: Box<dyn Simulator>,
    plan: &Plan,
) -> anyhow::Result<()> {
    let mut out = create(path)?;
    let from = plan.from.context("a file of history needs a first instant")?;
    csv::write_csv(&mut out, profile, simulator.as_mut(), from, plan.interval, plan.count.unwrap_or(0))?;
    out.flush()?;
    Ok(())
}

fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
    Ok(BufWriter::new(file))
}
