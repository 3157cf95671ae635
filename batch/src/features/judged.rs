//! Readings as detectors see them: the very features that speed computes, in the order of each device's time.

use arrow::{array::RecordBatch, compute::cast, datatypes::DataType};
use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    detect::features::{FeatureSet, FeatureState, FeatureValues},
    lake::{
        LakeError,
        delta::{DeltaLake, TableFiles},
        schema::readings_from_batch,
        session::SessionLimits,
    },
    reading::Reading,
    stream::StreamProfile,
};

use super::{
    Known,
    extent::Extent,
    read::{NO_VERSION, ReadRows, WEEK_SECS, each_batch, only, readings_of},
};
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
/// with the newest of them, so that a history of the past is a history too, but not with one whose clock is ahead.
#[derive(Debug, Clone, Copy)]
pub struct TrainWindow {
    /// Its length; `None` is the whole history.
    pub days: Option<u32>,
    /// Its end, and the lake as of when.
    pub known: Known,
}

/// The readings of a window, of which nothing but their number and their times were read yet.
#[derive(Debug)]
pub struct JudgedReadings<'a> {
    lake: &'a DeltaLake,
    profile: &'a StreamProfile,
    /// The files that may hold some; none of a stream without a table.
    files: Option<TableFiles>,
    from: Option<DateTime<Utc>>,
    until: DateTime<Utc>,
    extent: Extent,
}

impl<'a> JudgedReadings<'a> {
    /// Finds the window.
    ///
    /// # Errors
    /// [`LakeError`]; a stream without a table has no readings.
    pub async fn open(lake: &'a DeltaLake, profile: &'a StreamProfile, window: TrainWindow) -> Result<Self, LakeError> {
        let TrainWindow { days, known: Known { until, as_of } } = window;
        let mut found = Self { lake, profile, files: None, from: None, until, extent: Extent::default() };
        let Some(mut files) = readings_of(lake, profile, as_of).await? else { return Ok(found) };
        found.extent = Extent::of(lake, &files, until).await?;
        let last_days = |newest: DateTime<Utc>| newest.checked_sub_signed(TimeDelta::days(i64::from(days?)));
        found.from = found.extent.newest().and_then(last_days);
        if let Some(from) = found.from {
            found.extent = found.extent.since(from);
        }
        files.files.retain(|file| {
            let outside = |(first, last)| first >= until || found.from.is_some_and(|from| last < from);
            !file.stats.event_time.is_some_and(outside)
        });
        found.files = Some(files);
        Ok(found)
    }

    /// The version of the lake.
    #[must_use]
    pub fn lake_version(&self) -> i64 {
        self.files.as_ref().map_or(NO_VERSION, |files| files.version)
    }

    /// The instant from which on readings are held out, so that about `share` of them come before it.
    #[must_use]
    pub fn cut_at_share(&self, share: f64) -> Option<DateTime<Utc>> {
        self.extent.cut_at_share(share)
    }

    /// Keeps at most about so many of the readings, evenly over the hours of the week.
    #[must_use]
    pub fn thinned_to(&self, most: u64) -> Thinning {
        Thinning::new(self.extent.readings(), most, self.profile.interval_secs)
    }

    /// Hands over the readings, device by device in the order of their time. They hold the named measures only.
    ///
    /// # Errors
    /// [`LakeError`], and what `take` fails with.
    pub async fn each(
        &self,
        measures: &[&str],
        mut take: impl FnMut(&Reading) -> Result<(), LakeError>,
    ) -> Result<(), LakeError> {
        let Some(files) = self.files.as_ref().filter(|files| !files.files.is_empty()) else { return Ok(()) };
        let query = sql::for_profile(include_str!("judged.sql"), &only(self.profile, measures), 3600);
        each_batch(self.lake, files, &query, &SessionLimits::default(), |batch| {
            for row in readings_from_batch(self.profile, &with_plain_texts(batch)?)? {
                let time = row.reading.event_time;
                if time < self.until && self.from.is_none_or(|from| time >= from) {
                    take(&row.reading)?;
                }
            }
            Ok(())
        })
        .await
    }
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
    let readings = JudgedReadings::open(lake, profile, window).await?;
    let (mut taken, mut device, mut state) = (JudgedRows::default(), None, FeatureState::default());
    let mut thinning = readings.thinned_to(MAX_ROWS);
    let take = |reading: &Reading| {
        if device.as_ref() != Some(&reading.device) {
            device = Some(reading.device.clone());
            state = FeatureState::default();
        }
        if let Some(values) = features.take(&mut state, reading)
            && thinning.keeps_next()
        {
            taken.rows.push(values);
            taken.times.push(reading.event_time);
        }
        Ok(())
    };
    readings.each(&names, take).await?;
    Ok(ReadRows { rows: taken, lake_version: readings.lake_version() })
}

/// Counts readings and keeps every so many; the step visits all hours of the week alike.
#[derive(Debug)]
pub struct Thinning {
    seen: usize,
    step: usize,
}

impl Thinning {
    fn new(readings: u64, most: u64, interval_secs: u32) -> Self {
        let at_least = usize::try_from(readings.div_ceil(most.max(1))).unwrap_or(usize::MAX);
        let period = usize::try_from(WEEK_SECS / i64::from(interval_secs.max(1))).unwrap_or(1);
        Self { seen: 0, step: if at_least <= 1 { 1 } else { step_across(period.max(1), at_least) } }
    }

    /// Whether the next one is kept.
    pub const fn keeps_next(&mut self) -> bool {
        self.seen += 1;
        (self.seen - 1).is_multiple_of(self.step)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_thinned_history_of_hours_visits_every_hour_of_the_week() {
        // Every 20th hour would only ever see 42 of the 168.
        let mut thinning = Thinning::new(100_000, 5_000, 3600);
        let kept: Vec<usize> = (0..100_000).filter(|_| thinning.keeps_next()).collect();
        assert!((4_000..=5_000).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept.iter().map(|at| at % 168).collect::<BTreeSet<_>>().len(), 168);
    }

    #[test]
    fn what_is_few_enough_is_kept_whole() {
        let mut thinning = Thinning::new(5_000, 5_000, 3600);
        assert!((0..5_000).all(|_| thinning.keeps_next()));
    }
}
