//! Local hours, days and months as runs of UTC instants.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, Days, FixedOffset, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use kilowatch_shared::rollup::window_start;

/// Length of a window of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A UTC hour.
    Hour,
    /// A local day.
    Day,
    /// A local month.
    Month,
    /// A stored window of so many seconds, aligned as roll-ups are.
    Stored(u32),
}

impl Step {
    /// Its name in parameters and answers: `hour`, `day`, `month`, or as `30s`.
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::Hour => "hour".into(),
            Self::Day => "day".into(),
            Self::Month => "month".into(),
            Self::Stored(secs) => format!("{secs}s").into(),
        }
    }

    /// The step of that name, of a stream that stores windows of these lengths.
    pub fn parse(name: &str, stored_secs: &[u32]) -> Option<Self> {
        let stored = stored_secs.iter().map(|secs| Self::Stored(*secs));
        [Self::Hour, Self::Day, Self::Month].into_iter().chain(stored).find(|step| step.name() == name)
    }

    /// Start of the window that holds `instant`.
    pub fn floor(self, instant: DateTime<Utc>, offset: FixedOffset) -> DateTime<Utc> {
        let day = instant.with_timezone(&offset).date_naive();
        match self {
            Self::Hour => window_start(instant, 3600),
            Self::Stored(secs) => window_start(instant, secs),
            Self::Day => local_midnight(day, offset).unwrap_or(instant),
            Self::Month => day.with_day(1).and_then(|first| local_midnight(first, offset)).unwrap_or(instant),
        }
    }

    /// Start of the window that is `count` after the one that begins at `start`.
    pub fn advance(self, start: DateTime<Utc>, count: u32, offset: FixedOffset) -> DateTime<Utc> {
        let day = start.with_timezone(&offset).date_naive();
        let later = match self {
            Self::Hour => start.checked_add_signed(TimeDelta::hours(i64::from(count))),
            Self::Stored(secs) => start.checked_add_signed(TimeDelta::seconds(i64::from(secs) * i64::from(count))),
            Self::Day => {
                day.checked_add_days(Days::new(u64::from(count))).and_then(|later| local_midnight(later, offset))
            }
            Self::Month => day.checked_add_months(Months::new(count)).and_then(|later| local_midnight(later, offset)),
        };
        // Parameters are bounded to years that chrono can hold; past them no window follows.
        later.unwrap_or(start)
    }
}

fn local_midnight(day: NaiveDate, offset: FixedOffset) -> Option<DateTime<Utc>> {
    offset.from_local_datetime(&day.and_time(NaiveTime::MIN)).single().map(|local| local.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_begins_at_local_midnight() {
        let paris_winter = FixedOffset::east_opt(3600).unwrap();
        let start = Step::Day.floor(at("2007-01-01T23:30:00Z"), paris_winter);
        assert_eq!(start, at("2007-01-01T23:00:00Z"));
        assert_eq!(Step::Day.advance(start, 1, paris_winter), at("2007-01-02T23:00:00Z"));
    }

    #[test]
    fn a_stored_window_has_a_name_if_the_stream_has_it() {
        assert_eq!(Step::parse("30s", &[30, 3600]), Some(Step::Stored(30)));
        assert_eq!(Step::parse("60s", &[30, 3600]), None);
        let utc = FixedOffset::east_opt(0).unwrap();
        let start = Step::Stored(30).floor(at("2008-02-29T10:00:59Z"), utc);
        assert_eq!(start, at("2008-02-29T10:00:30Z"));
        assert_eq!(Step::Stored(30).advance(start, 3, utc), at("2008-02-29T10:02:00Z"));
    }

    #[test]
    fn a_month_has_its_own_length() {
        let utc = FixedOffset::east_opt(0).unwrap();
        let start = Step::Month.floor(at("2008-02-29T10:00:00Z"), utc);
        assert_eq!(start, at("2008-02-01T00:00:00Z"));
        assert_eq!(Step::Month.advance(start, 1, utc), at("2008-03-01T00:00:00Z"));
        assert_eq!(Step::Month.advance(start, 12, utc), at("2009-02-01T00:00:00Z"));
    }
}
