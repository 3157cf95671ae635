//! What has to be served, from the readings alone.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, DurationRound, FixedOffset, NaiveTime, TimeDelta, TimeZone, Utc};
use kilowatch_shared::rollup::Partial;

/// A value that counts.
#[derive(Debug, Clone)]
pub struct Counted {
    pub device: String,
    pub site: String,
    pub at: DateTime<Utc>,
    pub power: f64,
    /// Whether batch has published it; else it is speed's.
    pub published: bool,
}

/// A way to look at the readings.
#[derive(Debug, Clone, Copy)]
pub struct Zoom {
    /// `window` of the API.
    pub window: &'static str,
    /// `utc_offset` of the API.
    pub utc_offset: &'static str,
}

/// Quarters of an hour lie on the bounds of days at +05:30, and hours do not.
pub const ZOOMS: [Zoom; 6] = [
    Zoom { window: "900s", utc_offset: "Z" },
    Zoom { window: "hour", utc_offset: "Z" },
    Zoom { window: "day", utc_offset: "Z" },
    Zoom { window: "day", utc_offset: "+05:30" },
    Zoom { window: "month", utc_offset: "Z" },
    Zoom { window: "month", utc_offset: "+05:30" },
];

impl Zoom {
    /// Where the window begins that an instant lies in.
    fn start_of(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let zone: FixedOffset = if self.utc_offset == "Z" { "+00:00" } else { self.utc_offset }.parse().unwrap();
        let local = at.with_timezone(&zone);
        let midnight =
            |day: chrono::NaiveDate| zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).unwrap().to_utc();
        match self.window {
            "900s" => at.duration_trunc(TimeDelta::minutes(15)).unwrap(),
            "hour" => at.duration_trunc(TimeDelta::hours(1)).unwrap(),
            "day" => midnight(local.date_naive()),
            "month" => midnight(local.date_naive().with_day(1).unwrap()),
            other => panic!("{other}"),
        }
    }

    /// Windows by their start, with how many of the values batch has published.
    pub fn windows<'a>(self, values: impl Iterator<Item = &'a Counted>) -> BTreeMap<DateTime<Utc>, (Partial, u64)> {
        let mut windows = BTreeMap::new();
        for value in values {
            let (partial, published) = windows.entry(self.start_of(value.at)).or_insert((Partial::EMPTY, 0));
            partial.merge(&Partial::of(value.power));
            *published += u64::from(value.published);
        }
        windows
    }
}
