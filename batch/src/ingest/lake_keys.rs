//! The keys that the lake holds, read only as far as a file can repeat them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    compute::cast,
    datatypes::{DataType, Field, Float64Type, Schema, TimestampMicrosecondType},
};
use futures::TryStreamExt;
use kilowatch_shared::{
    lake::{
        LakeError,
        delta::{DeltaLake, LakeFile, TableFiles},
        schema::instant_type,
        session::{LakeSession, SessionLimits, SessionTable, lake_session, stream_error},
    },
    position::DeviceId,
    stream::StreamProfile,
};
use object_store::path::Path;

use super::{DeviceNumbers, KeySet, ParsedRows, rows::fingerprint};
use crate::{BatchError, sql};

/// A data file with so many times the rows at hand is searched for their keys and not learned: learning a key costs some
/// twenty times what passing over it does.
const SEARCHED_FROM: u64 = 16;

/// So many searches of a data file cost as much as learning it.
const SEARCHES: u32 = 16;

/// Keys that are learned at most, 256 MiB if they ascend; data files beyond them are searched.
const MOST_LEARNED: u64 = 16 << 20;

/// The keys of the lake that the rows of a file may repeat. A data file that many of them may be in is learned whole; a large
/// one that few of them may be in is searched, so that a late file of a hundred rows costs no index of a year.
#[derive(Debug)]
pub(crate) struct LakeKeys {
    table: Option<TableFiles>,
    visited: HashMap<Path, Visit>,
    learned: KeySet,
    /// What the searches for the rows at hand found.
    found: KeySet,
}

/// How a data file was read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    Learned,
    Searched { times: u32 },
}

impl LakeKeys {
    /// Nothing is read yet. `None` is a table that does not exist.
    pub(crate) fn of(table: Option<TableFiles>) -> Self {
        Self { table, visited: HashMap::new(), learned: KeySet::default(), found: KeySet::default() }
    }

    /// The fingerprint under a key of the rows that were read for last.
    pub(crate) fn find(&self, device: u32, time: i64) -> Option<u64> {
        self.found.find(device, time).or_else(|| self.learned.find(device, time))
    }

    /// Reads those keys of the lake that these rows may repeat.
    pub(crate) async fn read_for(
        &mut self,
        rows: &ParsedRows,
        lake: &DeltaLake,
        profile: &StreamProfile,
        numbers: &mut DeviceNumbers,
    ) -> Result<(), BatchError> {
        self.found = KeySet::default();
        let Some(table) = &self.table else { return Ok(()) };
        let near = table.only(|file| may_share_a_key(file, rows)).with_columns_of(profile);
        let (mut to_learn, mut to_search) = (HashSet::new(), HashSet::new());
        let mut room = MOST_LEARNED.saturating_sub(self.learned.len() as u64);
        for file in &near.files {
            let before = self.visited.get(&file.path).copied().unwrap_or(Visit::Searched { times: 0 });
            let held = file.stats.rows.unwrap_or(u64::MAX);
            let next = match before {
                Visit::Learned => continue,
                Visit::Searched { times } => next_visit(times, held, rows.len() as u64, room),
            };
            match next {
                Visit::Learned => {
                    room -= held;
                    to_learn.insert(&file.path);
                }
                Visit::Searched { .. } => {
                    to_search.insert(&file.path);
                }
            }
            self.visited.insert(file.path.clone(), next);
        }
        if !to_learn.is_empty() {
            // One partition keeps the rows of a device in the order of its files, which the key set stores best.
            let limits = SessionLimits { target_partitions: 1, ..SessionLimits::default() };
            let session = session_over(lake, &near.only(|file| to_learn.contains(&file.path)), &limits)?;
            gather(&session, include_str!("lake_keys.sql"), profile, numbers, &mut self.learned).await?;
        }
        if !to_search.is_empty() {
            let searched = near.only(|file| to_search.contains(&file.path));
            let session = session_over(lake, &searched, &SessionLimits::default())?;
            register_wanted(&session, rows.device_column(), rows.times.clone())?;
            gather(&session, include_str!("rows_at.sql"), profile, numbers, &mut self.found).await?;
        }
        Ok(())
    }

    /// Of the table, the data files that were learned or searched.
    pub(crate) fn read_files(&self) -> Option<TableFiles> {
        self.table.as_ref().map(|table| table.only(|file| self.visited.contains_key(&file.path)))
    }
}

/// How a data file of `held` rows is read for so many rows at hand, after so many searches.
const fn next_visit(searches: u32, held: u64, rows: u64, room: u64) -> Visit {
    let is_worth_it = searches >= SEARCHES || held < SEARCHED_FROM.saturating_mul(rows);
    if is_worth_it && held <= room { Visit::Learned } else { Visit::Searched { times: searches.saturating_add(1) } }
}

fn session_over(lake: &DeltaLake, files: &TableFiles, limits: &SessionLimits) -> Result<LakeSession, LakeError> {
    lake_session(lake.store(), &[SessionTable { name: "readings", files }], limits)
}

/// Adds what the rows of a query say to the keys.
async fn gather(
    session: &LakeSession,
    query: &str,
    profile: &StreamProfile,
    numbers: &mut DeviceNumbers,
    keys: &mut KeySet,
) -> Result<(), BatchError> {
    let mut batches = session.stream(&sql::for_profile(query, profile, 0)).await?;
    while let Some(batch) = batches.try_next().await.map_err(|error| stream_error(&error))? {
        each_row(&batch, profile, numbers, |_, device, time, print| {
            keys.insert(device, time, print);
        })?;
    }
    Ok(())
}

/// Registers devices and times as the table `wanted`, for `rows_at.sql`.
pub(super) fn register_wanted(
    session: &LakeSession,
    devices: StringArray,
    times_micros: Vec<i64>,
) -> Result<(), BatchError> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("device_id", DataType::Utf8, false),
        Field::new("event_time", instant_type(), false),
    ]));
    let times = TimestampMicrosecondArray::from(times_micros).with_data_type(instant_type());
    let columns: Vec<ArrayRef> = vec![Arc::new(devices), Arc::new(times)];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
        .map_err(|error| BatchError::Internal { job: "ingest", reason: error.to_string() })?;
    Ok(session.register_batches("wanted", schema, vec![batch])?)
}

/// Whether the ranges of a data file allow that it holds a key of these rows. What its writer did not say may be all.
pub(crate) fn may_share_a_key(file: &LakeFile, rows: &ParsedRows) -> bool {
    let Some((from, to)) = rows.time_range() else { return false };
    let times = file
        .stats
        .event_time
        .is_none_or(|(least, greatest)| least.timestamp_micros() <= to && from <= greatest.timestamp_micros());
    times && rows.device_names.iter().any(|device| file.stats.may_hold_device(device))
}

/// Whether the ranges of a data file allow that it holds this key.
pub(crate) fn may_hold(file: &LakeFile, device: &DeviceId, time_micros: i64) -> bool {
    let at = |least: i64, greatest: i64| (least..=greatest).contains(&time_micros);
    let stats = &file.stats;
    stats.event_time.is_none_or(|(least, greatest)| at(least.timestamp_micros(), greatest.timestamp_micros()))
        && stats.may_hold_device(device)
}

/// Hands index, number of the device, time and fingerprint of each row to `take`.
pub(crate) fn each_row(
    batch: &RecordBatch,
    profile: &StreamProfile,
    numbers: &mut DeviceNumbers,
    mut take: impl FnMut(usize, u32, i64, u64),
) -> Result<(), BatchError> {
    let columns = Columns::of(batch, profile)?;
    let mut last: Option<(DeviceId, u32)> = None;
    for row in 0..batch.num_rows() {
        let number = match &last {
            Some((device, number)) if device.as_str() == columns.devices.value(row) => *number,
            _ => {
                let device = columns.device(row)?;
                let number = numbers.of(&device);
                last = Some((device, number));
                number
            }
        };
        let print = fingerprint(
            columns.measures.iter().map(|column| column.is_valid(row).then(|| column.value(row))),
            columns.tags.iter().map(|column| column.is_valid(row).then(|| column.value(row))),
        );
        take(row, number, columns.time(row), print);
    }
    Ok(())
}

/// What rows of the lake say of device, time, measures and tags.
pub(crate) struct Columns {
    devices: StringArray,
    times: TimestampMicrosecondArray,
    pub measures: Vec<Float64Array>,
    pub tags: Vec<StringArray>,
}

impl Columns {
    pub(crate) fn of(batch: &RecordBatch, profile: &StreamProfile) -> Result<Self, BatchError> {
        let column = |name: &str, kind: &DataType| {
            let found = batch
                .column_by_name(name)
                .ok_or_else(|| LakeError::Corrupt { reason: format!("no column `{name}` in readings") })?;
            cast(found, kind).map_err(|error| LakeError::Corrupt { reason: format!("column `{name}`: {error}") })
        };
        let (mut measures, mut tags) = (Vec::new(), Vec::new());
        for measure in &profile.measures {
            measures.push(column(&measure.name, &DataType::Float64)?.as_primitive::<Float64Type>().clone());
        }
        for tag in &profile.tags {
            tags.push(column(tag, &DataType::Utf8)?.as_string::<i32>().clone());
        }
        Ok(Self {
            devices: column("device_id", &DataType::Utf8)?.as_string::<i32>().clone(),
            times: column("event_time", &instant_type())?.as_primitive::<TimestampMicrosecondType>().clone(),
            measures,
            tags,
        })
    }

    pub(crate) fn device(&self, row: usize) -> Result<DeviceId, BatchError> {
        let device = DeviceId::parse(self.devices.value(row));
        Ok(device.map_err(|error| LakeError::Corrupt { reason: error.to_string() })?)
    }

    pub(crate) fn time(&self, row: usize) -> i64 {
        self.times.value(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_learned_once_searching_it_for_few_rows_has_cost_as_much() {
        assert_eq!(next_visit(0, 1_000, 100, u64::MAX), Visit::Learned, "many rows may be in it");
        for searches in 0..SEARCHES {
            assert_eq!(next_visit(searches, 1_600, 100, u64::MAX), Visit::Searched { times: searches + 1 });
        }
        assert_eq!(next_visit(SEARCHES, 1_600, 100, u64::MAX), Visit::Learned);
    }

    #[test]
    fn what_would_not_fit_into_memory_is_searched_for_ever() {
        assert_eq!(next_visit(SEARCHES, 1_600, 1_600, 1_599), Visit::Searched { times: SEARCHES + 1 });
        assert_eq!(next_visit(u32::MAX, u64::MAX, 1, 1_599), Visit::Searched { times: u32::MAX });
    }
}
