//! A simulated stream as a file: the columns of its payload, and what was injected.

use std::io::{self, Write};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::stream::{StreamProfile, decode::INJECTED_HEADER};
use serde_json::Value;

use super::Simulator;

/// The column that holds the ground truth; empty where nothing was injected. No ingest reads it.
pub const INJECTED_COLUMN: &str = "injected";

/// Writes `rows` readings: devices in turn, each a reading every `interval` from `from` on.
///
/// # Errors
/// The writer fails.
pub fn write_csv(
    out: &mut impl Write,
    profile: &StreamProfile,
    simulator: &mut dyn Simulator,
    from: DateTime<Utc>,
    interval: TimeDelta,
    rows: u64,
) -> io::Result<()> {
    let columns = columns_of(profile);
    writeln!(out, "{},{INJECTED_COLUMN}", columns.join(","))?;
    for row in 0..rows {
        let at = instant_of(from, interval, simulator.devices(), row);
        let Some(record) = simulator.next_record(at)? else { break };
        let payload: Value = serde_json::from_slice(record.payload.as_deref().unwrap_or_default())?;
        for column in &columns {
            write_field(out, payload.get(*column))?;
            out.write_all(b",")?;
        }
        if let Some((_, kind)) = record.headers.iter().find(|(name, _)| name == INJECTED_HEADER) {
            out.write_all(kind)?;
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// The instant of a message: rounds are `interval` apart, and the devices of a round share it evenly.
#[must_use]
pub fn instant_of(from: DateTime<Utc>, interval: TimeDelta, devices: usize, message: u64) -> DateTime<Utc> {
    let devices = devices.max(1) as u64;
    let micros = interval.num_microseconds().unwrap_or(i64::MAX).unsigned_abs();
    let elapsed = (message / devices).saturating_mul(micros) + (message % devices).saturating_mul(micros) / devices;
    from.checked_add_signed(TimeDelta::microseconds(i64::try_from(elapsed).unwrap_or(i64::MAX)))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn columns_of(profile: &StreamProfile) -> Vec<&str> {
    let mut columns: Vec<&str> = profile.key_fields.iter().map(String::as_str).collect();
    columns.push(&profile.time_field);
    columns.extend(profile.measures.iter().map(|measure| measure.name.as_str()));
    columns.extend(profile.tags.iter().filter(|tag| !profile.key_fields.contains(tag)).map(String::as_str));
    columns
}

fn write_field(out: &mut impl Write, value: Option<&Value>) -> io::Result<()> {
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(text)) if text.contains([',', '"', '\n']) => {
            write!(out, "\"{}\"", text.replace('"', "\"\""))
        }
        Some(Value::String(text)) => out.write_all(text.as_bytes()),
        Some(value) => write!(out, "{value}"),
    }
}
