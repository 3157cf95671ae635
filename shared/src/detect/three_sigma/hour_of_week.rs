//! A baseline learned in batch: mean and standard deviation of each hour of the week, by device and measure.
//!
//! A fold over the history in the order of each device's time builds it, so it is as repeatable as every kernel. It is
//! frozen, addressed by content and pinned at a cut like any model. Sums are Welford's (1962), "Note on a Method for
//! Calculating Corrected Sums of Squares and Products", Technometrics 4(3).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{model::LocalCalendar, position::DeviceId, reading::Reading, stream::StreamProfile};

/// Raised when the serialised form changes; an older model is then read by the code that is kept for it.
const MODEL_FORMAT: u32 = 1;

const HOURS_OF_WEEK: usize = 168;

const WEEK_SECS: i64 = 7 * 86_400;

/// Weeks that an hour must have been seen in: readings of one hour of one day are alike, and their deviation says
/// nothing of another week's.
pub const MIN_WEEKS: u32 = 3;

/// Most tables of a model, one a device and measure, of 4 kB each: 8 MB. A stream of more devices has no baseline of
/// each device's own; a rolling one scales with the partitions.
const MAX_TABLES: usize = 2000;

/// The baselines of a stream's devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HourOfWeekModel {
    format: u32,
    calendar: LocalCalendar,
    measures: Vec<String>,
    /// By device: the hours of the week of each measure, one measure after the other.
    tables: BTreeMap<String, Vec<HourMoments>>,
}

/// What an hour of the week is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct HourMoments {
    pub(super) mean: f64,
    pub(super) sd: f64,
    pub(super) readings: u32,
    pub(super) weeks: u32,
}

/// Bytes that are no model, or a history that gives none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HourOfWeekProblem {
    /// They cannot be read.
    #[error("not an hour-of-week baseline: {0}")]
    Unreadable(String),
    /// They were written by another version.
    #[error("hour-of-week baseline of format {found}, this build reads {MODEL_FORMAT}; train it again")]
    UnsupportedFormat {
        /// Its format.
        found: u32,
    },
    /// They can be read, but contradict themselves.
    #[error("not a sound hour-of-week baseline: {0}")]
    Unsound(&'static str),
    /// A measure that the detector judges is not in it.
    #[error("the baseline has no `{0}`; train it again")]
    UnknownMeasure(String),
    /// The stream has more devices than a model holds.
    #[error(
        "more than {MAX_TABLES} pairs of device and measure; use baseline = {{ rolling = {{ window_readings = .. }} }}"
    )]
    TooManyDevices,
}

impl HourOfWeekModel {
    /// The model's bytes; equal models have equal bytes.
    ///
    /// # Errors
    /// [`HourOfWeekProblem::Unreadable`], which would be a bug.
    pub fn to_bytes(&self) -> Result<Vec<u8>, HourOfWeekProblem> {
        postcard::to_stdvec(self).map_err(|error| HourOfWeekProblem::Unreadable(error.to_string()))
    }

    /// Reads and checks a model.
    ///
    /// # Errors
    /// [`HourOfWeekProblem`]: whatever the bytes are, nothing else happens.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HourOfWeekProblem> {
        let unreadable = |error: postcard::Error| HourOfWeekProblem::Unreadable(error.to_string());
        let (found, _) = postcard::take_from_bytes::<u32>(bytes).map_err(unreadable)?;
        if found != MODEL_FORMAT {
            return Err(HourOfWeekProblem::UnsupportedFormat { found });
        }
        let model: Self = postcard::from_bytes(bytes).map_err(unreadable)?;
        let hours = model.measures.len() * HOURS_OF_WEEK;
        let sound = |hour: &HourMoments| hour.mean.is_finite() && hour.sd.is_finite() && hour.sd >= 0.0;
        let whole = |table: &Vec<HourMoments>| table.len() == hours && table.iter().all(sound);
        if !model.tables.values().all(whole) {
            return Err(HourOfWeekProblem::Unsound("a device's hours"));
        }
        Ok(model)
    }

    /// The measures that it knows.
    #[must_use]
    pub fn measures(&self) -> &[String] {
        &self.measures
    }

    /// How many devices it knows.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.tables.len()
    }

    /// Whether it knows this device.
    #[must_use]
    pub fn knows(&self, device: &DeviceId) -> bool {
        self.tables.contains_key(device.as_str())
    }

    /// The place of a measure in the tables.
    pub(super) fn place_of(&self, measure: &str) -> Option<usize> {
        self.measures.iter().position(|known| known == measure)
    }

    /// What is usual for a device at an instant, one measure after the other; `None` of a device that is not known.
    pub(super) fn hours_at(&self, device: &DeviceId, at: DateTime<Utc>) -> Option<impl Fn(usize) -> HourMoments> {
        let table = self.tables.get(device.as_str())?;
        let hour = hour_of_week(self.calendar, at);
        Some(move |measure: usize| table.get(measure * HOURS_OF_WEEK + hour).copied().unwrap_or_default())
    }
}

/// Learns a model from readings, device by device in the order of their time.
#[derive(Debug, Clone)]
pub struct HourOfWeekTrainer {
    calendar: LocalCalendar,
    measures: Vec<String>,
    indices: Vec<usize>,
    tables: BTreeMap<String, Vec<HourMoments>>,
    /// The device that is read now.
    current: Option<(DeviceId, Vec<HourSums>)>,
}

/// What moments are made of, by Welford's recurrence.
#[derive(Debug, Clone, Default)]
struct HourSums {
    readings: u32,
    weeks: u32,
    mean: f64,
    squares: f64,
    /// The week in which the hour was seen last.
    last_week: Option<i64>,
}

impl HourSums {
    fn add(&mut self, value: f64, week: i64) {
        self.readings += 1;
        let from_mean = value - self.mean;
        self.mean += from_mean / f64::from(self.readings);
        self.squares += from_mean * (value - self.mean);
        if self.last_week != Some(week) {
            self.last_week = Some(week);
            self.weeks += 1;
        }
    }

    fn moments(&self) -> HourMoments {
        let sd = (self.squares / f64::from(self.readings.max(2) - 1)).sqrt();
        if self.mean.is_finite() && sd.is_finite() {
            HourMoments { mean: self.mean, sd, readings: self.readings, weeks: self.weeks }
        } else {
            HourMoments::default()
        }
    }
}

impl HourOfWeekTrainer {
    /// Learns these measures; one that the profile lacks is the error.
    ///
    /// # Errors
    /// [`HourOfWeekProblem::UnknownMeasure`].
    pub fn try_new(measures: &[String], profile: &StreamProfile) -> Result<Self, HourOfWeekProblem> {
        let index =
            |name: &String| profile.measure_index(name).ok_or_else(|| HourOfWeekProblem::UnknownMeasure(name.clone()));
        Ok(Self {
            calendar: profile.calendar(),
            measures: measures.to_vec(),
            indices: measures.iter().map(index).collect::<Result<_, _>>()?,
            tables: BTreeMap::new(),
            current: None,
        })
    }

    /// Takes the next reading.
    ///
    /// # Errors
    /// [`HourOfWeekProblem::TooManyDevices`].
    pub fn take(&mut self, reading: &Reading) -> Result<(), HourOfWeekProblem> {
        if self.current.as_ref().is_none_or(|(device, _)| *device != reading.device) {
            self.close_device();
            if (self.tables.len() + 1) * self.measures.len() > MAX_TABLES {
                return Err(HourOfWeekProblem::TooManyDevices);
            }
            let hours = vec![HourSums::default(); self.measures.len() * HOURS_OF_WEEK];
            self.current = Some((reading.device.clone(), hours));
        }
        let Some((_, hours)) = &mut self.current else { return Ok(()) };
        let hour = hour_of_week(self.calendar, reading.event_time);
        let week = self.calendar.local(reading.event_time).timestamp().div_euclid(WEEK_SECS);
        for (place, index) in self.indices.iter().enumerate() {
            let Some(value) = reading.measures.get(*index).copied().flatten() else { continue };
            hours[place * HOURS_OF_WEEK + hour].add(value, week);
        }
        Ok(())
    }

    /// The model of what was taken.
    #[must_use]
    pub fn finish(mut self) -> HourOfWeekModel {
        self.close_device();
        let Self { calendar, measures, tables, .. } = self;
        HourOfWeekModel { format: MODEL_FORMAT, calendar, measures, tables }
    }

    fn close_device(&mut self) {
        let Some((device, hours)) = self.current.take() else { return };
        self.tables.insert(device.into(), hours.iter().map(HourSums::moments).collect());
    }
}

/// The local hour of the week, 0 on Monday at midnight.
fn hour_of_week(calendar: LocalCalendar, at: DateTime<Utc>) -> usize {
    let [hour, day_of_week, _] = calendar.features(at);
    (day_of_week as usize * 24 + hour as usize).min(HOURS_OF_WEEK - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::test_support::{household, reading};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn learn(readings: impl IntoIterator<Item = (DateTime<Utc>, f64)>) -> HourOfWeekModel {
        let mut trainer = HourOfWeekTrainer::try_new(&["active_power".to_owned()], &household()).unwrap();
        for (event_time, power) in readings {
            trainer.take(&Reading { event_time, ..reading(Some(power), None) }).unwrap();
        }
        trainer.finish()
    }

    #[test]
    fn an_hour_is_the_local_one_of_its_day_and_knows_its_weeks() {
        // Mondays 00:30 where the household is, in four weeks: 1, 2, 3 and 4 kW.
        let monday = at("2007-01-07T23:30:00Z");
        let model =
            learn((0..4_u8).map(|week| (monday + chrono::TimeDelta::weeks(i64::from(week)), f64::from(week + 1))));
        let device = reading(None, None).device;
        let hour = model.hours_at(&device, at("2007-03-04T23:59:00Z")).unwrap()(0);
        assert_eq!((hour.mean, hour.readings, hour.weeks), (2.5, 4, 4));
        assert!((hour.sd - (5.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(model.hours_at(&device, at("2007-03-05T00:00:00Z")).unwrap()(0), HourMoments::default());
        assert!(model.hours_at(&DeviceId::parse("stranger").unwrap(), monday).is_none());
    }

    #[test]
    fn a_model_read_back_is_the_same_and_damaged_bytes_are_refused() {
        let model = learn((0..500).map(|hour| (at("2007-01-01T00:00:00Z") + chrono::TimeDelta::hours(hour), 1.5)));
        let bytes = model.to_bytes().unwrap();
        assert_eq!(HourOfWeekModel::from_bytes(&bytes), Ok(model));
        assert!(HourOfWeekModel::from_bytes(&bytes[..bytes.len() / 2]).is_err());
        let mut newer = bytes;
        newer[0] += 1;
        assert_eq!(HourOfWeekModel::from_bytes(&newer), Err(HourOfWeekProblem::UnsupportedFormat { found: 2 }));
    }

    #[test]
    fn more_devices_than_a_model_holds_are_refused_with_the_way_out() {
        let mut trainer = HourOfWeekTrainer::try_new(&["active_power".to_owned()], &household()).unwrap();
        let mut take = |number: usize| {
            let device = DeviceId::parse(&format!("m-{number:05}")).unwrap();
            trainer.take(&Reading { device, ..reading(Some(1.0), None) })
        };
        for number in 0..MAX_TABLES {
            take(number).unwrap();
        }
        assert!(take(MAX_TABLES).unwrap_err().to_string().contains("baseline = { rolling"));
    }
}
