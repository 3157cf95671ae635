//! Hourly statistics of a file, for people who want a file.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use arrow::array::Array;
use chrono::{DateTime, Utc};
use kilowatch_shared::{position::DeviceId, rollup::Partial, stream::StreamProfile};
use serde::Serialize;

use super::{IngestError, InputFile, ParsedRows, keys::Repeat};

const HOUR_MICROS: i64 = 3_600_000_000;

/// Partials of every hour of a file. A row counts once, whether the lake had it before or not, so that the statistics
/// are those of the file alone.
#[derive(Debug, Default)]
pub(crate) struct HourlyStats {
    hours: BTreeMap<(DeviceId, i64), Vec<Partial>>,
}

impl HourlyStats {
    /// Adds rows, except those that repeat an earlier row of the file.
    pub(crate) fn add(&mut self, rows: &ParsedRows, repeats: &[Repeat]) {
        let mut skipped = repeats.iter().filter(|repeat| repeat.within_file).map(|repeat| repeat.index).peekable();
        let mut from = 0;
        while from < rows.len() {
            let key = (rows.devices[from], rows.times[from].div_euclid(HOUR_MICROS));
            let run = (from..rows.len())
                .take_while(|row| (rows.devices[*row], rows.times[*row].div_euclid(HOUR_MICROS)) == key)
                .count();
            let counted: Vec<usize> = (from..from + run).filter(|row| skipped.next_if_eq(row).is_none()).collect();
            from += run;
            let Some(device) = rows.device_names.get(key.0 as usize) else { continue };
            let partials =
                self.hours.entry((device.clone(), key.1)).or_insert_with(|| vec![Partial::EMPTY; rows.measures.len()]);
            for (column, partial) in rows.measures.iter().zip(partials) {
                for row in counted.iter().filter(|row| column.is_valid(**row)) {
                    partial.merge(&Partial::of(column.value(*row)));
                }
            }
        }
    }

    /// Writes them as JSON; a reader of `path` sees all of it or nothing.
    pub(crate) fn write(&self, path: &Path, profile: &StreamProfile, sha256: &str) -> Result<(), IngestError> {
        let io_error = |source| IngestError::from_io(path, source);
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let body = StatsBody {
            stream: profile.name.as_str(),
            sha256,
            hours: self
                .hours
                .iter()
                .map(|((device, hour), partials)| hour_body(profile, device, *hour, partials))
                .collect(),
        };
        let written = write_whole(Path::new(&unfinished), &body).and_then(|()| std::fs::rename(&unfinished, path));
        if written.is_err() {
            // It may not even be there; what counts is the first failure.
            let _ = std::fs::remove_file(&unfinished);
        }
        written.map_err(io_error)
    }
}

fn write_whole(path: &Path, body: &StatsBody<'_>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    serde_json::to_writer(&mut file, body)?;
    file.write_all(b"\n")?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Refuses a place for the statistics that they would overwrite the history in, or that cannot be written, before
/// minutes of work hang on it.
pub(crate) fn check_target(target: &Path, input: &InputFile) -> Result<(), IngestError> {
    let refused =
        |reason: String| IngestError::BadRequest { reason: format!("--stats {}: {reason}", target.display()) };
    if target.is_dir() {
        return Err(refused("a folder; name a file in it".to_owned()));
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(refused(format!("there is no folder {}; create it first", folder.display())));
    }
    let place = |path: &Path| path.canonicalize().ok();
    if place(target).is_some_and(|target| Some(target) == place(&input.path)) {
        return Err(refused("that is the file to ingest; name another one".to_owned()));
    }
    Ok(())
}

fn hour_body<'a>(profile: &'a StreamProfile, device: &'a DeviceId, hour: i64, partials: &[Partial]) -> HourBody<'a> {
    let measures = profile
        .measures
        .iter()
        .zip(partials)
        .map(|(measure, partial)| {
            let some = partial.count > 0;
            let body = MeasureBody {
                count: partial.count,
                mean: partial.mean(),
                min: some.then_some(partial.min),
                max: some.then_some(partial.max),
            };
            (measure.name.as_str(), body)
        })
        .collect();
    let hour = DateTime::from_timestamp_micros(hour * HOUR_MICROS).unwrap_or_default();
    HourBody { device_id: device.as_str(), hour, measures }
}

/// The JSON contract of `--stats`.
#[derive(Serialize)]
struct StatsBody<'a> {
    stream: &'a str,
    sha256: &'a str,
    hours: Vec<HourBody<'a>>,
}

#[derive(Serialize)]
struct HourBody<'a> {
    device_id: &'a str,
    /// Start of the hour, UTC.
    hour: DateTime<Utc>,
    measures: BTreeMap<&'a str, MeasureBody>,
}

#[derive(Serialize)]
struct MeasureBody {
    count: u64,
    /// Null, not zero, where no value is.
    mean: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
}
