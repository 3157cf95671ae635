//! Instants as payloads write them.

use chrono::{DateTime, NaiveDate, Utc};

use crate::wording::excerpt;

/// Every instant that a meter can mean lies in `[1970, 2200)`. A clock that was never set says 1, 1900 or 9999, and one
/// such reading would open a roll-up window, a lake partition and a chart axis of centuries.
const EARLIEST_MICROS: i64 = 0;
const LATEST_MICROS: i64 = 7_258_118_400_000_000;

/// What is wrong with a time: reason, then fix.
pub(super) type TimeProblem = (String, &'static str);

const RFC3339_FIX: &str = "write it as 2007-01-01T00:00:00Z or with an offset such as +01:00";
pub(super) const MILLIS_FIX: &str = "write whole milliseconds since 1970 UTC, such as 1706729400000";
pub(super) const SECONDS_FIX: &str = "write seconds since 1970 UTC, such as 1706729400.5";
const RANGE_FIX: &str = "set the device's clock; times from 1970 to 2199 are taken";

/// Reads RFC 3339 text.
pub(super) fn from_text(text: &str) -> Result<DateTime<Utc>, TimeProblem> {
    let instant = match whole_utc_second(text.as_bytes()) {
        Some(instant) => instant,
        None => DateTime::parse_from_rfc3339(text)
            .map_err(|error| (format!("`{}` is no RFC 3339 time ({error})", excerpt(text)), RFC3339_FIX))?
            .to_utc(),
    };
    in_range(instant.timestamp_micros(), || excerpt(text))
}

/// Reads whole milliseconds.
pub(super) fn from_millis(millis: i64) -> Result<DateTime<Utc>, TimeProblem> {
    in_range(millis.saturating_mul(1000), || millis.to_string())
}

/// Reads seconds with fractions, to the microsecond.
pub(super) fn from_seconds(seconds: f64) -> Result<DateTime<Utc>, TimeProblem> {
    // The cast saturates, so that what lies outside stays outside.
    in_range((seconds * 1e6).round() as i64, || seconds.to_string())
}

/// The nearest instant that a meter can mean, in whole microseconds: as the lake keeps it, so that a row read back
/// equals the row that was written.
pub(crate) fn nearest_in_range(instant: DateTime<Utc>) -> DateTime<Utc> {
    let micros = instant.timestamp_micros().clamp(EARLIEST_MICROS, LATEST_MICROS - 1);
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
