//! Readings as detectors see them: the very features that speed computes, in the order of each device's time.

use std::sync::Arc;

use arrow::{array::RecordBatch, compute::cast, datatypes::DataType};
use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    detect::features::{FeatureSet, FeatureState, FeatureValues},
    lake::{
        LakeError,
        delta::{DeltaLake, LakeFile},
        schema::readings_from_batch,
        session::SessionLimits,
    },
    reading::Reading,
    stream::StreamProfile,
};

use super::read::{NO_VERSION, ReadRows, WEEK_SECS, each_batch, only, readings_of};
use crate::{sql, training::step_across};

/// Rows that are kept, at 136 bytes each: 54 MB. More than any detector is learned from, and enough to look at a part.
const MAX_ROWS: u64 = 400_000;

/// Features of readings that can be judged, and the time of each.
#[derive(Debug, Clone, Default)]
pub struct JudgedRows {
    /// The features; NaN is one that is missing.
    pub rows: Vec<FeatureValues>,
    /// As long as `rows`.
    pub times: Vec<DateTime<Utc>>,
}

/// Which readings a detector learns from: those before `until` and, with a window, of its last days. The window ends
/// with the newest of them, so that a history of the past is a history too.
#[derive(Debug, Clone, Copy)]
pub struct TrainWindow {
    /// Its length; `None` is the whole history.
    pub days: Option<u32>,
    /// The end, exclusive.
    pub until: DateTime<Utc>,
}

/// Features of the readings of a window. More than 400,000 are thinned evenly over the hours of the week, after
/// their features were computed.
///
/// # Errors
/// [`LakeError`]; a stream without a table has no rows.
pub async fn read_judged(
    lake: &DeltaLake,
    profile: &StreamProfile,
    features: &FeatureSet,
    window: TrainWindow,
) -> Result<ReadRows<JudgedRows>, LakeError> {
    let names: Vec<&str> =
        features.measures().iter().filter_map(|at| profile.measures.get(*at)).map(|m| m.name.as_str()).collect();
    let (mut taken, mut device, mut state) = (JudgedRows::default(), None, FeatureState::default());
    let mut thinning = Thinning::default();
    let lake_version = each_reading(lake, profile, &names, window, |reading, step| {
        if device.as_ref() != Some(&reading.device) {
            device = Some(reading.device.clone());
            state = FeatureState::default();
        }
        if let Some(values) = features.take(&mut state, reading)
            && thinning.keeps(step)
        {
            taken.rows.push(values);
            taken.times.push(reading.event_time);
        }
        Ok(())
    })
    .await?;
    Ok(ReadRows { rows: taken, lake_version })
}

/// Hands over the readings of a window, device by device in the order of their time, with the step by which they have to
/// be thinned to about 400,000. They hold the named measures only. Returns the lake's version.
///
/// # Errors
/// [`LakeError`], and what `take` fails with.
pub async fn each_reading(
    lake: &DeltaLake,
    profile: &StreamProfile,
    measures: &[&str],
    window: TrainWindow,
    mut take: impl FnMut(&Reading, usize) -> Result<(), LakeError>,
) -> Result<i64, LakeError> {
    let Some(mut files) = readings_of(lake, &profile.name).await? else { return Ok(NO_VERSION) };
    let times = |file: &Arc<LakeFile>| file.stats.event_time;
    let TrainWindow { days, until } = window;
    let newest = files.files.iter().filter_map(|file| times(file).map(|(_, last)| last)).max().unwrap_or(until);
    let from = days.and_then(|days| newest.min(until).checked_sub_signed(TimeDelta::days(i64::from(days))));
    files.files.retain(|file| {
        let outside = |(first, last)| first >= until || from.is_some_and(|from| last < from);
        !times(file).is_some_and(outside)
    });
    if files.files.is_empty() {
        return Ok(files.version);
    }
    let all: u64 = files.files.iter().filter_map(|file| file.stats.rows).sum();
    let step = thinning_step(all, profile.interval_secs);
    let query = sql::for_profile(include_str!("judged.sql"), &only(profile, measures), 3600);
    each_batch(lake, &files, &query, &SessionLimits::default(), |batch| {
        for row in readings_from_batch(profile, &with_plain_texts(batch)?)? {
            let time = row.reading.event_time;
            if time < until && from.is_none_or(|from| time >= from) {
                take(&row.reading, step)?;
            }
        }
        Ok(())
    })
    .await?;
    Ok(files.version)
}

/// Every so many readings are kept; the step visits all hours of the week alike.
fn thinning_step(rows: u64, interval_secs: u32) -> usize {
    let at_least = usize::try_from(rows.div_ceil(MAX_ROWS)).unwrap_or(usize::MAX);
    if at_least <= 1 {
        return 1;
    }
    let period = usize::try_from(WEEK_SECS / i64::from(interval_secs.max(1))).unwrap_or(1);
    step_across(period.max(1), at_least)
}

/// Counts readings and keeps every so many.
#[derive(Debug, Default)]
pub struct Thinning {
    seen: usize,
}

impl Thinning {
    /// Whether the next one is kept.
    pub const fn keeps(&mut self, step: usize) -> bool {
        self.seen += 1;
        (self.seen - 1).is_multiple_of(step)
    }
}

/// The engine may answer with views of texts, which the lake's schema does not have.
fn with_plain_texts(batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
    let unreadable = |error: arrow::error::ArrowError| LakeError::Query { reason: error.to_string() };
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let plain = match column.data_type() {
            DataType::Utf8View => cast(column, &DataType::Utf8).map_err(unreadable)?,
            _ => column.clone(),
        };
        Ok((field.name().clone(), plain))
    });
    RecordBatch::try_from_iter(columns.collect::<Result<Vec<_>, LakeError>>()?).map_err(unreadable)
}
