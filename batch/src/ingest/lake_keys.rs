//! The keys that the lake holds, read only as far as a file can repeat them.

use std::collections::HashSet;

use arrow::{
    array::{Array, AsArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    compute::cast,
    datatypes::{DataType, Float64Type, TimestampMicrosecondType},
};
use futures::TryStreamExt;
use kilowatch_shared::{
    lake::{
        LakeError,
        delta::{DeltaLake, LakeFile, TableFiles},
        schema::instant_type,
        session::{SessionLimits, SessionTable, lake_session, stream_error},
    },
    position::DeviceId,
    stream::StreamProfile,
};
use object_store::path::Path;

use super::{DeviceNumbers, KeySet, ParsedRows, rows::fingerprint};
use crate::{BatchError, sql};

/// The keys of those data files that overlap what was asked for so far.
#[derive(Debug)]
pub(crate) struct LakeKeys {
    table: Option<TableFiles>,
    loaded: HashSet<Path>,
    keys: KeySet,
}

impl LakeKeys {
    /// Nothing is read yet. `None` is a table that does not exist.
    pub(crate) fn of(table: Option<TableFiles>) -> Self {
        Self { table, loaded: HashSet::new(), keys: KeySet::default() }
    }

    /// The keys that were read.
    pub(crate) const fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// Reads the keys of the data files that may hold a key of these rows; stops reading at more than `most`.
    pub(crate) async fn read_for(
        &mut self,
        rows: &ParsedRows,
        lake: &DeltaLake,
        profile: &StreamProfile,
        numbers: &mut DeviceNumbers,
        most: usize,
    ) -> Result<(), BatchError> {
        let Some(table) = &self.table else { return Ok(()) };
        let wanted = table.only(|file| !self.loaded.contains(&file.path) && may_share_a_key(file, rows));
        if wanted.files.is_empty() {
            return Ok(());
        }
        self.loaded.extend(wanted.files.iter().map(|file| file.path.clone()));
        let wanted = wanted.with_columns_of(profile);
        // One partition keeps the rows of a device in the order of its files, which the key set stores best.
        let limits = SessionLimits { target_partitions: 1, ..SessionLimits::default() };
        let readings = SessionTable { name: "readings", files: &wanted };
        let session = lake_session(lake.store(), &[readings], &limits)?;
        let mut batches = session.stream(&sql::for_profile(include_str!("lake_keys.sql"), profile, 0)).await?;
        while self.keys.len() <= most
            && let Some(batch) = batches.try_next().await.map_err(|error| stream_error(&error))?
        {
            each_row(&batch, profile, numbers, |_, device, time, print| {
                self.keys.insert(device, time, print);
            })?;
        }
        Ok(())
    }

    /// Of the table, the data files whose keys were read.
    pub(crate) fn read_files(&self) -> Option<TableFiles> {
        self.table.as_ref().map(|table| table.only(|file| self.loaded.contains(&file.path)))
    }
}

/// Whether the ranges of a data file allow that it holds a key of these rows. What its writer did not say may be all.
pub(crate) fn may_share_a_key(file: &LakeFile, rows: &ParsedRows) -> bool {
    let Some((from, to)) = rows.time_range() else { return false };
    let times = file
        .stats
        .event_time
        .is_none_or(|(least, greatest)| least.timestamp_micros() <= to && from <= greatest.timestamp_micros());
    let in_range = |device: &DeviceId| {
        file.stats
            .device_id
            .as_ref()
            .is_none_or(|(least, greatest)| least.as_str() <= device.as_str() && device.as_str() <= greatest.as_str())
    };
    times && rows.device_names.iter().any(in_range)
}

/// Whether the ranges of a data file allow that it holds this key.
pub(crate) fn may_hold(file: &LakeFile, device: &DeviceId, time_micros: i64) -> bool {
    let at = |least: i64, greatest: i64| (least..=greatest).contains(&time_micros);
    let stats = &file.stats;
    stats.event_time.is_none_or(|(least, greatest)| at(least.timestamp_micros(), greatest.timestamp_micros()))
        && stats
            .device_id
            .as_ref()
            .is_none_or(|(least, greatest)| least.as_str() <= device.as_str() && device.as_str() <= greatest.as_str())
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
