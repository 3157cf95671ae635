//! Simulated history as a file in the UCI format.

use std::io::{self, Write};

use chrono::{DateTime, Datelike, FixedOffset, TimeDelta, Timelike, Utc};
use kilowatch_shared::position::DeviceId;

use super::{
    meter::HouseholdMeasures,
    simulator::{HouseholdOptions, HouseholdSimulator},
};

const HEADER: &str = "Date;Time;Global_active_power;Global_reactive_power;Voltage;Global_intensity;Sub_metering_1;\
                      Sub_metering_2;Sub_metering_3";

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UciRowCounts {
    /// All rows.
    pub rows: u64,
    /// Rows without values.
    pub missing: u64,
}

/// Writes a row a minute for `[from, until)`, in the household's local time, with the original's header, line ends and
/// `?;?;?;?;?;?;` for what is missing. Nothing is injected: the format has no place for the truth.
///
/// # Errors
/// The writer's.
pub fn write_uci(
    writer: &mut impl Write,
    device: DeviceId,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    seed: u64,
    options: HouseholdOptions,
) -> io::Result<UciRowCounts> {
    let offset = FixedOffset::east_opt(options.utc_offset_minutes.saturating_mul(60))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the UTC offset is more than a day"))?;
    let mut simulator = HouseholdSimulator::new(device, seed, options, &[]);
    let mut counts = UciRowCounts::default();
    let mut line = Vec::with_capacity(96);
    write!(writer, "{HEADER}\r\n")?;
    let mut at = from;
    while at < until {
        let reading = simulator.next_reading(at);
        line.clear();
        let local = at.with_timezone(&offset);
        let (day, month, year) = (local.day(), local.month(), local.year());
        let (hour, minute, second) = (local.hour(), local.minute(), local.second());
        write!(line, "{day}/{month}/{year};{hour:02}:{minute:02}:{second:02}")?;
        match &reading.measures {
            Some(measures) => push_values(&mut line, measures)?,
            None => {
                counts.missing += 1;
                line.extend_from_slice(b";?;?;?;?;?;?;");
            }
        }
        line.extend_from_slice(b"\r\n");
        writer.write_all(&line)?;
        counts.rows += 1;
        at += TimeDelta::minutes(1);
    }
    writer.flush()?;
    Ok(counts)
}

/// Three decimals each, from whole thousandths: a year has millions of numbers, and formatting floats takes longer than
/// simulating them.
fn push_values(line: &mut Vec<u8>, measures: &HouseholdMeasures) -> io::Result<()> {
    let HouseholdMeasures { active_power, reactive_power, voltage, current, .. } = measures;
    let HouseholdMeasures { sub_metering_1, sub_metering_2, sub_metering_3, .. } = measures;
    let values = [active_power, reactive_power, voltage, current, sub_metering_1, sub_metering_2, sub_metering_3];
    for value in values {
        let thousandths = (value * 1000.0).round() as i64;
        write!(line, ";{}.{:03}", thousandths / 1000, thousandths % 1000)?;
    }
    Ok(())
}
