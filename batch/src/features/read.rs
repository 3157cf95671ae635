//! Reading what models learn from: the one place where training meets the lake.

use std::{collections::BTreeMap, time::Duration};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType},
};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use kilowatch_shared::{
    lake::{
        AsOf, LakeError, LakeTable,
        delta::{DeltaLake, TableFiles},
        schema::instant_type,
        session::{SessionLimits, SessionTable, lake_session, stream_error},
    },
    model::LocalCalendar,
    position::DeviceId,
    stream::StreamProfile,
};

use super::{FeatureTable, HourIndex, HourTotal, HourlySeries, Known};
use crate::{sql, training::step_across};

/// Rows that a table is thinned to: six years of one meter's minutes are read whole, in about 50 bytes a row.
const MAX_ROWS: u64 = 3_000_000;

/// How long reading may take; training is a nightly job, and what is slower than this is an outage.
const READ_TIME: Duration = Duration::from_secs(1800);

pub(super) const WEEK_SECS: i64 = 7 * 86_400;

/// Rows of the lake and the version that they are from.
#[derive(Debug, Clone)]
pub struct ReadRows<T> {
    /// The rows.
    pub rows: T,
    /// The table's version.
    pub lake_version: i64,
}

/// Readings that are known and hold all of `measures` and the `target`, in the order of their time: the measures are
/// the first columns, hour, day of week and month the next ones if there is a calendar. A larger lake is thinned evenly
/// over the hours of the week.
///
/// # Errors
/// [`LakeError`]; a stream without a table has no rows.
pub async fn read_features(
    lake: &DeltaLake,
    profile: &StreamProfile,
    measures: &[String],
    target: Option<&str>,
    calendar: Option<LocalCalendar>,
    known: Known,
) -> Result<ReadRows<FeatureTable>, LakeError> {
    let mut names = measures.to_vec();
    names.extend(calendar.iter().flat_map(|_| kilowatch_shared::model::calendar::CALENDAR_FEATURES.map(str::to_owned)));
    let mut reader = FeatureReader {
        table: FeatureTable::new(names),
        measures,
        target,
        calendar,
        until: known.until,
        thinning: None,
    };
    let Some(files) = readings_of(lake, profile, known.as_of).await? else {
        return Ok(ReadRows { rows: reader.table, lake_version: NO_VERSION });
    };
    let all: u64 = files.files.iter().filter_map(|file| file.stats.rows).sum();
    reader.thinning = thinning(all, profile.interval_secs);
    let wanted: Vec<&str> = measures.iter().map(String::as_str).chain(target).collect();
    let query = sql::for_profile(include_str!("rows.sql"), &only(profile, &wanted), 3600);
    each_batch(lake, &files, &query, &SessionLimits::default(), |batch| reader.add(batch)).await?;
    Ok(ReadRows { rows: reader.finish(), lake_version: files.version })
}

/// Hourly means of a measure by device, of hours that are over at the end of what is known.
///
/// # Errors
/// [`LakeError`]; a stream without a table has no devices.
pub async fn read_hours(
    lake: &DeltaLake,
    profile: &StreamProfile,
    measure: &str,
    known: Known,
) -> Result<ReadRows<BTreeMap<DeviceId, HourlySeries>>, LakeError> {
    let until = HourIndex::of(known.until);
    let Some(files) = readings_of(lake, profile, known.as_of).await? else {
        return Ok(ReadRows { rows: BTreeMap::new(), lake_version: NO_VERSION });
    };
    let query = sql::for_profile(include_str!("hours.sql"), &only(profile, &[measure]), 3600);
    // One partition adds the values of an hour in the order of the files, so the sum has the same bits on every run.
    let limits = SessionLimits { target_partitions: 1, ..SessionLimits::default() };
    let mut totals: BTreeMap<DeviceId, Vec<HourTotal>> = BTreeMap::new();
    each_batch(lake, &files, &query, &limits, |batch| add_hours(batch, &mut totals)).await?;
    let expected = 3600.0 / f64::from(profile.interval_secs.max(1));
    let series = |(device, totals): (DeviceId, Vec<HourTotal>)| {
        Some((device, HourlySeries::new(&totals, expected.max(1.0), until)?))
    };
    Ok(ReadRows { rows: totals.into_iter().filter_map(series).collect(), lake_version: files.version })
}

/// Version of a table that does not exist.
pub(super) const NO_VERSION: i64 = -1;

/// The readings as of a point of the lake, with all columns that the profile names.
pub(super) async fn readings_of(
    lake: &DeltaLake,
    profile: &StreamProfile,
    as_of: Option<AsOf>,
) -> Result<Option<TableFiles>, LakeError> {
    match lake.open_table_as_of(&profile.name, LakeTable::Readings, as_of).await {
        Ok(files) => Ok(Some(files.with_columns_of(profile))),
        Err(LakeError::NoSuchTable { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn only(profile: &StreamProfile, names: &[&str]) -> StreamProfile {
    let mut narrowed = profile.clone();
    narrowed.measures.retain(|measure| names.contains(&measure.name.as_str()));
    narrowed
}

pub(super) async fn each_batch(
    lake: &DeltaLake,
    files: &TableFiles,
    query: &str,
    limits: &SessionLimits,
    mut take: impl FnMut(&RecordBatch) -> Result<(), LakeError>,
) -> Result<(), LakeError> {
    let read = async {
        let session = lake_session(lake.store(), &[SessionTable { name: "readings", files }], limits)?;
        let mut batches = session.stream(query).await?;
        while let Some(batch) = batches.try_next().await.map_err(|error| stream_error(&error))? {
            take(&batch)?;
        }
        Ok(())
    };
    tokio::time::timeout(READ_TIME, read)
        .await
        .unwrap_or_else(|_| Err(LakeError::Query { reason: format!("reading took longer than {READ_TIME:?}") }))
}

/// Which readings of a large lake are kept: every `step`-th interval since 1970, which visits all of a week alike.
#[derive(Debug, Clone, Copy)]
struct Thinning {
    interval_micros: i64,
    step: i64,
}

fn thinning(rows: u64, interval_secs: u32) -> Option<Thinning> {
    let at_least = rows.div_ceil(MAX_ROWS);
    if at_least <= 1 {
        return None;
    }
    let interval_secs = i64::from(interval_secs.max(1));
    let intervals_of_the_week = usize::try_from(WEEK_SECS / interval_secs).unwrap_or(1).max(1);
    let step = step_across(intervals_of_the_week, usize::try_from(at_least).unwrap_or(usize::MAX));
    Some(Thinning { interval_micros: interval_secs * 1_000_000, step: step as i64 })
}

struct FeatureReader<'a> {
    table: FeatureTable,
    measures: &'a [String],
    target: Option<&'a str>,
    calendar: Option<LocalCalendar>,
    until: DateTime<Utc>,
    thinning: Option<Thinning>,
}

impl FeatureReader<'_> {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let times = column(batch, "event_time", &instant_type())?;
        let times = times.as_primitive::<TimestampMicrosecondType>().values();
        let floats = |name: &str| column(batch, name, &DataType::Float64);
        let measures = self.measures.iter().map(|name| floats(name)).collect::<Result<Vec<_>, _>>()?;
        let measures: Vec<&[f64]> =
            measures.iter().map(|values| values.as_primitive::<Float64Type>().values().as_ref()).collect();
        let target = self.target.map(floats).transpose()?;
        let target: Option<&[f64]> =
            target.as_ref().map(|values| values.as_primitive::<Float64Type>().values().as_ref());
        for (row, micros) in times.iter().enumerate() {
            let kept = |thin: &Thinning| micros.div_euclid(thin.interval_micros) % thin.step == 0;
            let Some(time) = DateTime::from_timestamp_micros(*micros).filter(|time| *time < self.until) else {
                continue;
            };
            // JSON cannot write an infinite number, but a Parquet file can hold one.
            let finite = measures.iter().chain(&target).all(|values| values[row].is_finite());
            if !finite || !self.thinning.as_ref().is_none_or(kept) {
                continue;
            }
            let calendar = self.calendar.iter().flat_map(|calendar| calendar.features(time));
            let values = measures.iter().map(|values| values[row]).chain(calendar);
            for (column, value) in self.table.columns.iter_mut().zip(values) {
                column.push(value as f32);
            }
            self.table.target.push(target.map_or(0.0, |values| values[row]));
            self.table.times.push(time);
        }
        Ok(())
    }

    /// The rows in an order that does not hang on how files were cut or read: by time, then by their values.
    fn finish(self) -> FeatureTable {
        let table = self.table;
        let mut order: Vec<usize> = (0..table.rows()).collect();
        let by_values = |a: usize, b: usize| {
            let columns = table.columns.iter().map(|column| column[a].total_cmp(&column[b]));
            columns.fold(table.target[a].total_cmp(&table.target[b]), std::cmp::Ordering::then)
        };
        order.sort_unstable_by(|a, b| table.times[*a].cmp(&table.times[*b]).then_with(|| by_values(*a, *b)));
        if order.is_sorted() {
            return table;
        }
        let columns = table.columns.iter().map(|column| order.iter().map(|row| column[*row]).collect()).collect();
        FeatureTable {
            columns,
            target: order.iter().map(|row| table.target[*row]).collect(),
            times: order.iter().map(|row| table.times[*row]).collect(),
            names: table.names,
        }
    }
}

fn add_hours(batch: &RecordBatch, totals: &mut BTreeMap<DeviceId, Vec<HourTotal>>) -> Result<(), LakeError> {
    let devices = column(batch, "device_id", &DataType::Utf8)?;
    let starts = column(batch, "Start", &instant_type())?;
    let counts = column(batch, "Count", &DataType::Int64)?;
    let sums = column(batch, "Sum", &DataType::Float64)?;
    let (starts, counts) = (starts.as_primitive::<TimestampMicrosecondType>(), counts.as_primitive::<Int64Type>());
    let sums = sums.as_primitive::<Float64Type>();
    for (row, device) in devices.as_string::<i32>().iter().enumerate() {
        let device = DeviceId::parse(device.unwrap_or_default())
            .map_err(|error| LakeError::Corrupt { reason: error.to_string() })?;
        let (Some(start), sum) = (DateTime::from_timestamp_micros(starts.value(row)), sums.value(row)) else {
            continue;
        };
        if counts.value(row) == 0 || !sum.is_finite() {
            continue;
        }
        let count = u64::try_from(counts.value(row)).unwrap_or_default();
        totals.entry(device).or_default().push(HourTotal { hour: HourIndex::of(start), count, sum });
    }
    Ok(())
}

pub(super) fn column(batch: &RecordBatch, name: &str, to: &DataType) -> Result<arrow::array::ArrayRef, LakeError> {
    let unreadable = |reason: String| LakeError::Query { reason };
    let column = batch.column_by_name(name).ok_or_else(|| unreadable(format!("the answer has no column `{name}`")))?;
    cast(column, to).map_err(|error| unreadable(error.to_string()))
}
