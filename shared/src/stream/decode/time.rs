//! Instants as payloads write them.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, TimeDelta, Utc};

use crate::{stream::profile::TimeFormat, wording::excerpt};

/// Every instant that a meter can mean lies in `[1970, 2200)`. A clock that was never set says 1, 1900 or 9999, and one
/// such reading would open a roll-up window, a lake partition and a chart axis of centuries.
const EARLIEST_MICROS: i64 = 0;
const LATEST_MICROS: i64 = 7_258_118_400_000_000;

/// The integers that an f64 holds exactly end here.
pub(super) const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// What is wrong with a time: reason, then fix.
pub(super) type TimeProblem = (String, &'static str);

const TEXT_FIX: &str = "write it as a text, such as \"2007-01-01T00:00:00Z\"";
const RFC3339_FIX: &str = "write it as 2007-01-01T00:00:00Z or with an offset such as +01:00";
const MILLIS_FIX: &str = "write whole milliseconds since 1970 UTC, such as 1706729400000";
const SECONDS_FIX: &str = "write seconds since 1970 UTC, such as 1706729400.5";
const ANY_FIX: &str = "write it as 2007-01-01T00:00:00Z, or as seconds or milliseconds since 1970 UTC";
const RANGE_FIX: &str = "set the device's clock; times from 1970 to 2199 are taken";

/// Where the numbers of [`TimeFormat::Any`] stop to be seconds and begin to be milliseconds: as seconds it is the year 5138, as milliseconds 1973.
pub const FIRST_MILLIS: f64 = 1e11;

/// Reads the times of one stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeReader {
    format: TimeFormat,
    /// What local times are ahead of UTC.
    offset: TimeDelta,
}

impl TimeReader {
    pub(super) fn new(format: TimeFormat, utc_offset_minutes: i32) -> Self {
        Self { format, offset: TimeDelta::minutes(i64::from(utc_offset_minutes)) }
    }

    /// How to write a time.
    pub(super) const fn fix(&self) -> &'static str {
        match self.format {
            TimeFormat::Rfc3339 => TEXT_FIX,
            TimeFormat::EpochMillis => MILLIS_FIX,
            TimeFormat::EpochSeconds => SECONDS_FIX,
            TimeFormat::Any => ANY_FIX,
        }
    }

    pub(super) fn text(&self, text: &str) -> Result<DateTime<Utc>, TimeProblem> {
        match self.format {
            TimeFormat::Rfc3339 => from_text(text),
            TimeFormat::Any => from_iso_text(text, self.offset),
            TimeFormat::EpochMillis | TimeFormat::EpochSeconds => {
                Err(("it is a text, and the profile expects a number".to_owned(), self.fix()))
            }
        }
    }

    pub(super) fn whole_number(&self, number: i64) -> Result<DateTime<Utc>, TimeProblem> {
        match self.format {
            TimeFormat::EpochMillis => from_millis(number),
            TimeFormat::EpochSeconds => from_seconds(number as f64),
            TimeFormat::Any if (number as f64) < FIRST_MILLIS => from_seconds(number as f64),
            TimeFormat::Any => from_millis(number),
            TimeFormat::Rfc3339 => Err(("it is a number, and the profile expects RFC 3339".to_owned(), self.fix())),
        }
    }

    pub(super) fn fraction(&self, number: f64) -> Result<DateTime<Utc>, TimeProblem> {
        match self.format {
            TimeFormat::EpochSeconds => from_seconds(number),
            TimeFormat::Any if number < FIRST_MILLIS => from_seconds(number),
            TimeFormat::Any => from_seconds(number / 1e3),
            // Some producers know no other number than the float.
            _ if number.fract() == 0.0 && number.abs() <= EXACT_INTEGERS => self.whole_number(number as i64),
            _ => Err((format!("{number} is not a whole number"), self.fix())),
        }
    }
}

/// Reads ISO 8601 text as Python, Java and JavaScript write it; `offset` is the zone of a text that names none.
fn from_iso_text(text: &str, offset: TimeDelta) -> Result<DateTime<Utc>, TimeProblem> {
    let zoned = || text.parse::<DateTime<FixedOffset>>().ok().map(|instant| instant.to_utc());
    let local = || {
        let format = if text.contains('T') { "%Y-%m-%dT%H:%M:%S%.f" } else { "%Y-%m-%d %H:%M:%S%.f" };
        NaiveDateTime::parse_from_str(text, format).ok()?.and_utc().checked_sub_signed(offset)
    };
    let Some(instant) = whole_utc_second(text.as_bytes()).or_else(zoned).or_else(local) else {
        return Err((format!("`{}` is no ISO 8601 time", excerpt(text)), ANY_FIX));
    };
    in_range(instant.timestamp_micros(), || excerpt(text))
}

/// Reads RFC 3339 text.
fn from_text(text: &str) -> Result<DateTime<Utc>, TimeProblem> {
    let instant = match whole_utc_second(text.as_bytes()) {
        Some(instant) => instant,
        None => DateTime::parse_from_rfc3339(text)
            .map_err(|error| (format!("`{}` is no RFC 3339 time ({error})", excerpt(text)), RFC3339_FIX))?
            .to_utc(),
    };
    in_range(instant.timestamp_micros(), || excerpt(text))
}

/// Reads whole milliseconds.
fn from_millis(millis: i64) -> Result<DateTime<Utc>, TimeProblem> {
    in_range(millis.saturating_mul(1000), || millis.to_string())
}

/// Reads seconds with fractions, to the microsecond.
fn from_seconds(seconds: f64) -> Result<DateTime<Utc>, TimeProblem> {
    // The cast saturates, so that what lies outside stays outside.
    in_range((seconds * 1e6).round() as i64, || seconds.to_string())
}

/// The nearest instant that a meter can mean, in whole microseconds: as the lake keeps it, so that a row read back
/// equals the row that was written.
pub(crate) fn nearest_in_range(instant: DateTime<Utc>) -> DateTime<Utc> {
    let micros = instant.timestamp_micros();
    if (EARLIEST_MICROS..LATEST_MICROS).contains(&micros) && instant.timestamp_subsec_nanos().is_multiple_of(1000) {
        return instant;
    }
    let micros = micros.clamp(EARLIEST_MICROS, LATEST_MICROS - 1);
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

fn in_range(micros: i64, written: impl FnOnce() -> String) -> Result<DateTime<Utc>, TimeProblem> {
    match DateTime::from_timestamp_micros(micros) {
        Some(instant) if (EARLIEST_MICROS..LATEST_MICROS).contains(&micros) => Ok(instant),
        _ => Err((format!("the time `{}` is before 1970 or after 2199", written()), RANGE_FIX)),
    }
}

/// `2007-01-01T00:00:00Z`, which nearly every producer sends and which needs no general parser.
fn whole_utc_second(text: &[u8]) -> Option<DateTime<Utc>> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'Z'] = text else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u32, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
    };
    let year = i32::try_from(number(&[y1, y2, y3, y4])?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(&[m1, m2])?, number(&[d1, d2])?)?;
    Some(date.and_hms_opt(number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?)?.and_utc())
}
