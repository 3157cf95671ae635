//! A device's history by the hour: what a forecast looks back on.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};

/// Whole hours since 1970 UTC; the hour's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HourIndex(i64);

impl HourIndex {
    /// The hour that holds the instant.
    #[must_use]
    pub fn of(instant: DateTime<Utc>) -> Self {
        Self(instant.timestamp().div_euclid(3600))
    }

    /// The hour so many hours later; negative for earlier.
    #[must_use]
    pub const fn plus(self, hours: i64) -> Self {
        Self(self.0.saturating_add(hours))
    }

    /// Hours from `earlier` to this one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Its first instant.
    #[must_use]
    pub fn start(self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH.checked_add_signed(TimeDelta::hours(self.0)).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

/// What the lake holds of an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HourTotal {
    /// Which hour.
    pub hour: HourIndex,
    /// How many values.
    pub count: u64,
    /// Their sum, in the measure's unit.
    pub sum: f64,
}

/// Share of the expected readings that an hour needs for its mean to stand for it.
pub const MIN_COMPLETENESS: f64 = 0.5;

/// Longest history that is looked at: habits of twenty years ago say nothing of tomorrow, and a meter whose clock once
/// said 1970 must not cost memory for the years between.
const MAX_HOURS: i64 = 20 * 366 * 24;

/// Hourly means of one measure of one device. An hour with too few readings is missing, and missing is not zero.
#[derive(Debug, Clone, PartialEq)]
pub struct HourlySeries {
    first: HourIndex,
    values: Vec<Option<f64>>,
    /// Number and sum of the known values before each position, for means over any window at once.
    before: Vec<(u32, f64)>,
}

impl HourlySeries {
    /// The series of these hours, in any order; `expected` is the number of readings of a complete hour. Hours from
    /// `until` on are left out. `None` if no hour is complete enough.
    #[must_use]
    pub fn new(totals: &[HourTotal], expected: f64, until: HourIndex) -> Option<Self> {
        let complete = |total: &&HourTotal| {
            total.hour < until && total.count > 0 && total.count as f64 >= MIN_COMPLETENESS * expected
        };
        let last = totals.iter().filter(complete).map(|total| total.hour).max()?;
        let recent = |total: &&HourTotal| last.since(total.hour) < MAX_HOURS;
        let kept = || totals.iter().filter(complete).filter(recent);
        let first = kept().map(|total| total.hour).min()?;
        let mut values = vec![None; usize::try_from(last.since(first)).ok()? + 1];
        for total in kept() {
            if let Some(value) = usize::try_from(total.hour.since(first)).ok().and_then(|at| values.get_mut(at)) {
                *value = Some(total.sum / total.count as f64);
            }
        }
        let mut known = (0, 0.0);
        let mut before = vec![known];
        for value in &values {
            if let Some(value) = value {
                known = (known.0 + 1, known.1 + value);
            }
            before.push(known);
        }
        Some(Self { first, values, before })
    }

    /// The first hour with a value.
    #[must_use]
    pub const fn first(&self) -> HourIndex {
        self.first
    }

    /// The hour after the last one with a value.
    #[must_use]
    pub const fn end(&self) -> HourIndex {
        self.first.plus(self.values.len() as i64)
    }

    /// Mean of the hour, if it is known.
    #[must_use]
    pub fn at(&self, hour: HourIndex) -> Option<f64> {
        let at = usize::try_from(hour.since(self.first)).ok()?;
        self.values.get(at).copied().flatten()
    }

    /// Mean of the known hours of a window, if at least half of its hours are known.
    #[must_use]
    pub fn mean(&self, window: Range<HourIndex>) -> Option<f64> {
        let place = |hour: HourIndex| hour.since(self.first).clamp(0, self.values.len() as i64) as usize;
        let (from, until) = (self.before[place(window.start)], self.before[place(window.end)]);
        let known = until.0 - from.0;
        let enough = known > 0 && i64::from(known) * 2 >= window.end.since(window.start);
        enough.then(|| (until.1 - from.1) / f64::from(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(at: i64) -> HourIndex {
        HourIndex(at)
    }

    fn series(totals: &[(i64, u64, f64)], until: i64) -> Option<HourlySeries> {
        let totals: Vec<HourTotal> =
            totals.iter().map(|(at, count, sum)| HourTotal { hour: hour(*at), count: *count, sum: *sum }).collect();
        HourlySeries::new(&totals, 60.0, hour(until))
    }

    #[test]
    fn an_hour_before_1970_is_the_one_that_holds_the_instant() {
        let at: DateTime<Utc> = "1969-12-31T23:59:59Z".parse().unwrap();
        assert_eq!(HourIndex::of(at).start(), "1969-12-31T23:00:00Z".parse::<DateTime<Utc>>().unwrap());
    }

    #[test]
    fn an_hour_with_too_few_readings_is_missing_and_not_zero() {
        let series = series(&[(10, 60, 120.0), (11, 29, 29.0), (12, 30, 30.0)], 100).unwrap();
        assert_eq!([10, 11, 12, 13, 9].map(|at| series.at(hour(at))), [Some(2.0), None, Some(1.0), None, None]);
        assert_eq!((series.first(), series.end()), (hour(10), hour(13)));
    }

    #[test]
    fn a_window_is_averaged_over_what_is_known_and_only_if_that_is_half_of_it() {
        let series = series(&[(10, 60, 60.0), (12, 60, 180.0), (13, 60, 300.0)], 100).unwrap();
        assert_eq!(series.mean(hour(10)..hour(14)), Some(3.0));
        assert_eq!(series.mean(hour(10)..hour(12)), Some(1.0));
        assert_eq!(series.mean(hour(9)..hour(12)), None);
        assert_eq!(series.mean(hour(14)..hour(20)), None);
    }

    #[test]
    fn hours_from_the_end_on_and_from_a_wrong_clock_are_left_out() {
        let totals = [(-1, 60, 60.0), (400_000, 60, 60.0), (400_001, 60, 120.0), (400_002, 60, 180.0)];
        let series = series(&totals, 400_002).unwrap();
        assert_eq!((series.first(), series.end()), (hour(400_000), hour(400_002)));
        assert_eq!(super::HourlySeries::new(&[], 60.0, hour(9)), None);
    }
}
