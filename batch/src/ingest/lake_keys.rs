//! The keys that the lake holds, read only as far as a file can repeat them.

use std::collections::HashSet;

use arrow::{
    array::{Array, AsArray, Float64Array, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, Float64Type, TimestampMicrosecondType},
};
use futures::TryStreamExt;
use kilowatch_shared::{
    lake::{
        LakeError,
        delta::{DeltaLake, LakeFile, TableFiles},
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
        // One partition keeps the rows of a device in the order of its files, which the key set stores best.
        let limits = SessionLimits { target_partitions: 1, ..SessionLimits::default() };
        let readings = SessionTable { name: "readings", files: &wanted };
        let session = lake_session(lake.store(), &[readings], &limits)?;
        let mut batches = session.stream(&sql::for_profile(include_str!("lake_keys.sql"), profile, 0)).await?;
        while self.keys.len() <= most
            && let Some(batch) = batches.try_next().await.map_err(|error| stream_error(&error))?
        {
            add_keys(&batch, profile, numbers, &mut self.keys)?;
        }
        Ok(())
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

fn add_keys(
    batch: &RecordBatch,
    profile: &StreamProfile,
    numbers: &mut DeviceNumbers,
    keys: &mut KeySet,
) -> Result<(), BatchError> {
    let column = |name: &str, kind: &DataType| {
        let found = batch
            .column_by_name(name)
            .ok_or_else(|| LakeError::Corrupt { reason: format!("no column `{name}` in readings") })?;
        cast(found, kind).map_err(|error| LakeError::Corrupt { reason: format!("column `{name}`: {error}") })
    };
    let devices = column("device_id", &DataType::Utf8)?;
    let devices = devices.as_string::<i32>();
    let times = column("event_time", &kilowatch_shared::lake::schema::instant_type())?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let mut measures: Vec<Float64Array> = Vec::with_capacity(profile.measures.len());
    for measure in &profile.measures {
        measures.push(column(&measure.name, &DataType::Float64)?.as_primitive::<Float64Type>().clone());
    }
    let mut tags: Vec<StringArray> = Vec::with_capacity(profile.tags.len());
    for tag in &profile.tags {
        tags.push(column(tag, &DataType::Utf8)?.as_string::<i32>().clone());
    }
    let mut last: Option<(DeviceId, u32)> = None;
    for row in 0..batch.num_rows() {
        let text = devices.value(row);
        let number = match &last {
            Some((device, number)) if device.as_str() == text => *number,
            _ => {
                let device = DeviceId::parse(text).map_err(|error| LakeError::Corrupt { reason: error.to_string() })?;
                let number = numbers.of(&device);
                last = Some((device, number));
                number
            }
        };
        let print = fingerprint(
            measures.iter().map(|column| column.is_valid(row).then(|| column.value(row))),
            tags.iter().map(|column| column.is_valid(row).then(|| column.value(row))),
        );
        keys.insert(number, times.value(row), print);
    }
    Ok(())
}
