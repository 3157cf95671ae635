//! What a clock on the wall shows: features of every model that knows people's habits.

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use serde::{Deserialize, Serialize};

/// Names of the features that [`LocalCalendar::features`] gives, in its order.
pub const CALENDAR_FEATURES: [&str; 3] = ["hour", "day_of_week", "month"];

/// Local time at a fixed distance from UTC, the one of the history that a model learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LocalCalendar {
    utc_offset_minutes: i32,
}

impl LocalCalendar {
    /// The calendar that many minutes east of UTC.
    #[must_use]
    pub const fn new(utc_offset_minutes: i32) -> Self {
        Self { utc_offset_minutes }
    }

    /// What the wall clock shows, written as if it were UTC.
    #[must_use]
    pub fn local(self, at: DateTime<Utc>) -> DateTime<Utc> {
        at.checked_add_signed(TimeDelta::minutes(i64::from(self.utc_offset_minutes))).unwrap_or(at)
    }

    /// Hour 0 to 23, day of the week from Monday = 0, month 1 to 12.
    #[must_use]
    pub fn features(self, at: DateTime<Utc>) -> [f64; 3] {
        let local = self.local(at);
        [f64::from(local.hour()), f64::from(local.weekday().num_days_from_monday()), f64::from(local.month())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_utc_hour_of_a_year_is_the_first_local_one_of_the_next() {
        let at = "2006-12-31T23:30:00Z".parse().unwrap();
        // 2007 began on a Monday.
        assert_eq!(LocalCalendar::new(60).features(at), [0.0, 0.0, 1.0]);
        assert_eq!(LocalCalendar::new(0).features(at), [23.0, 6.0, 12.0]);
        assert_eq!(LocalCalendar::new(-30).features(at), [23.0, 6.0, 12.0]);
    }

    #[test]
    fn the_end_of_the_calendar_is_no_panic() {
        assert_eq!(LocalCalendar::new(840).features(DateTime::<Utc>::MAX_UTC)[0], 23.0);
    }
}
