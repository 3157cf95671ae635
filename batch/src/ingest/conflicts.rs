//! What contradicts what, with both values: the first conflicts of a file, for the person who has to decide.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use arrow::array::{Array, Float64Array, StringArray};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use kilowatch_shared::{
    lake::{
        delta::TableFiles,
        session::{SessionLimits, SessionTable, lake_session, stream_error},
    },
    position::DeviceId,
    stream::StreamProfile,
};
use serde::{Deserialize, Serialize};

use super::{
    Feed, IngestRequest, InputFile, NoProgress, ParsedRows,
    keys::{Fate, Repeat},
    lake_keys::{Columns, may_hold, register_wanted},
};
use crate::{BatchDeps, BatchError, sql};

/// A row that contradicts an earlier one of its device and time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConflictingRow {
    /// Its number, from 1.
    pub line: u64,
    /// The device.
    pub device: String,
    /// The event time.
    pub event_time: DateTime<Utc>,
    /// The line of the earlier row, if it is of the same file; else it is the lake's.
    pub earlier_line: Option<u64>,
    /// Whether this row counts from now on, and not the earlier one.
    pub replaced: bool,
    /// What they do not agree on.
    pub values: Vec<Contradiction>,
}

/// A measure or tag of which two rows say different things.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contradiction {
    /// The measure or tag.
    pub name: String,
    /// What the earlier row says; `None` if it is silent.
    pub earlier: Option<Cell>,
    /// What this row says.
    pub now: Option<Cell>,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// Of a measure.
    Number(f64),
    /// Of a tag.
    Text(String),
}

/// A row that contradicts another one which has still to be looked up.
#[derive(Debug, Clone)]
pub(crate) struct Conflict {
    line: u64,
    device: DeviceId,
    time_micros: i64,
    within_file: bool,
    replaced: bool,
    cells: Vec<Option<Cell>>,
}

/// Values by device and time, in the profile's order, with the line that they stand in.
type Earlier = HashMap<(DeviceId, i64), (u64, Vec<Option<Cell>>)>;

impl Conflict {
    /// The conflict that a repeat is, unless it is none.
    pub(crate) fn of(rows: &ParsedRows, repeat: &Repeat) -> Option<Self> {
        if repeat.identical {
            return None;
        }
        Some(Self {
            line: rows.numbers.get(repeat.index)?.cast_unsigned(),
            device: rows.device_names.get(*rows.devices.get(repeat.index)? as usize)?.clone(),
            time_micros: *rows.times.get(repeat.index)?,
            within_file: repeat.within_file,
            replaced: repeat.fate != Fate::Skipped,
            cells: cells(&rows.measures, &rows.tags, repeat.index),
        })
    }

    fn key(&self) -> (DeviceId, i64) {
        (self.device.clone(), self.time_micros)
    }

    fn told(&self, profile: &StreamProfile, earlier: &Earlier) -> Option<ConflictingRow> {
        let found = earlier.get(&self.key());
        let names = profile.measures.iter().map(|measure| &measure.name).chain(&profile.tags);
        let before = found.map(|(_, cells)| cells.as_slice()).unwrap_or_default();
        let values = names.zip(before.iter().zip(&self.cells)).filter(|(_, (earlier, now))| earlier != now);
        Some(ConflictingRow {
            line: self.line,
            device: self.device.to_string(),
            event_time: DateTime::from_timestamp_micros(self.time_micros)?,
            earlier_line: found.map(|(line, _)| *line).filter(|_| self.within_file),
            replaced: self.replaced,
            values: values
                .map(|(name, (earlier, now))| Contradiction {
                    name: name.clone(),
                    earlier: earlier.clone(),
                    now: now.clone(),
                })
                .collect(),
        })
    }
}

/// The conflicts with what the earlier rows say: those of the lake are asked for, and those of the file are read again,
/// up to the last one.
pub(crate) async fn told(
    conflicts: &[Conflict],
    deps: &BatchDeps,
    profile: &StreamProfile,
    base: Option<&TableFiles>,
    (file, request): (&InputFile, &IngestRequest),
) -> Result<Vec<ConflictingRow>, BatchError> {
    let (within, against): (Vec<&Conflict>, Vec<&Conflict>) = conflicts.iter().partition(|one| one.within_file);
    let of_lake = match base {
        Some(base) if !against.is_empty() => in_lake(&against, deps, profile, base).await?,
        _ => Earlier::new(),
    };
    let of_file = if within.is_empty() { Earlier::new() } else { in_file(&within, profile, file, request).await? };
    let earlier = |one: &Conflict| if one.within_file { &of_file } else { &of_lake };
    Ok(conflicts.iter().filter_map(|one| one.told(profile, earlier(one))).collect())
}

async fn in_lake(
    conflicts: &[&Conflict],
    deps: &BatchDeps,
    profile: &StreamProfile,
    base: &TableFiles,
) -> Result<Earlier, BatchError> {
    let holders = base.only(|file| conflicts.iter().any(|one| may_hold(file, &one.device, one.time_micros)));
    let holders = holders.with_columns_of(profile);
    let readings = SessionTable { name: "readings", files: &holders };
    let session = lake_session(deps.lake.store(), &[readings], &SessionLimits::default())?;
    let devices = StringArray::from_iter_values(conflicts.iter().map(|one| one.device.as_str()));
    register_wanted(&session, devices, conflicts.iter().map(|one| one.time_micros).collect())?;
    let mut batches = session.stream(&sql::for_profile(include_str!("rows_at.sql"), profile, 0)).await?;
    let mut earlier = Earlier::new();
    while let Some(batch) = batches.try_next().await.map_err(|error| stream_error(&error))? {
        let columns = Columns::of(&batch, profile)?;
        for row in 0..batch.num_rows() {
            let key = (columns.device(row)?, columns.time(row));
            earlier.entry(key).or_insert_with(|| (0, cells(&columns.measures, &columns.tags, row)));
        }
    }
    Ok(earlier)
}

async fn in_file(
    conflicts: &[&Conflict],
    profile: &StreamProfile,
    file: &InputFile,
    request: &IngestRequest,
) -> Result<Earlier, BatchError> {
    let mut wanted: HashSet<(DeviceId, i64)> = conflicts.iter().map(|one| one.key()).collect();
    let times: HashSet<i64> = conflicts.iter().map(|one| one.time_micros).collect();
    let mut earlier = Earlier::new();
    let mut feed = Feed::start(file, request, profile, Arc::new(NoProgress));
    while !wanted.is_empty()
        && let Some(rows) = feed.next().await?
    {
        for (index, time) in rows.times.iter().enumerate().filter(|(_, time)| times.contains(time)) {
            let Some(device) = rows.device_names.get(rows.devices[index] as usize) else { continue };
            let key = (device.clone(), *time);
            if wanted.remove(&key) {
                let line = rows.numbers[index].cast_unsigned();
                earlier.insert(key, (line, cells(&rows.measures, &rows.tags, index)));
            }
        }
    }
    Ok(earlier)
}

fn cells(measures: &[Float64Array], tags: &[StringArray], row: usize) -> Vec<Option<Cell>> {
    let numbers = measures.iter().map(|column| column.is_valid(row).then(|| Cell::Number(column.value(row))));
    let texts = tags.iter().map(|column| column.is_valid(row).then(|| Cell::Text(column.value(row).to_owned())));
    numbers.chain(texts).collect()
}

impl fmt::Display for ConflictingRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.earlier_line.map_or_else(|| "the lake".to_owned(), |line| format!("line {line}"));
        write!(f, "line {}: contradicts what {before} says of {} at {}", self.line, self.device, self.event_time)?;
        for (number, Contradiction { name, earlier, now }) in self.values.iter().enumerate() {
            let said = |cell: &Option<Cell>| cell.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
            let joint = if number == 0 { ":" } else { "," };
            write!(f, "{joint} {name} is {}, and not {}", said(now), said(earlier))?;
        }
        f.write_str(if self.replaced { "; replaced" } else { "; skipped" })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}
