//! Times of a text file as microseconds since 1970 UTC.

use chrono::NaiveDate;
use kilowatch_shared::stream::{TimeFormat, decode::FIRST_MILLIS};

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// The first instant that is too late: 2201-01-01. Meters do not read the future; a later year is a damaged field.
const END_MICROS: i64 = 7_289_654_400 * MICROS_PER_SECOND;

/// Why a field is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotATime {
    /// Not a day of the calendar in the expected form.
    BadDate,
    /// Not a time of day in the expected form.
    BadClock,
    /// Not an instant in the expected form.
    BadInstant,
    /// Before 1970 or after 2200.
    OutOfRange,
}

/// Reads `d/m/yyyy` beside `hh:mm:ss`; remembers the last date, for a file says each one 1440 times.
#[derive(Debug, Default)]
pub(super) struct UciTime {
    last_date: Vec<u8>,
    last_days: i64,
}

impl UciTime {
    /// The instant in microseconds, of a local time that is `offset_secs` east of UTC.
    pub(super) fn parse(&mut self, date: &[u8], clock: &[u8], offset_secs: i64) -> Result<i64, NotATime> {
        if date != self.last_date.as_slice() || date.is_empty() {
            let days = parse_slashed_date(date.trim_ascii())?;
            self.last_date.clear();
            self.last_date.extend_from_slice(date);
            self.last_days = days;
        }
        let seconds = parse_clock(clock.trim_ascii())?;
        in_range((self.last_days * SECONDS_PER_DAY + seconds - offset_secs) * MICROS_PER_SECOND)
    }
}

/// The instant in microseconds: RFC 3339 or `yyyy-mm-dd hh:mm[:ss[.f]]` (then `offset_secs` east of UTC), or a number
/// in the profile's unit.
pub(super) fn parse_instant(field: &[u8], format: TimeFormat, offset_secs: i64) -> Result<i64, NotATime> {
    let field = field.trim_ascii();
    let micros = match format {
        TimeFormat::Rfc3339 => parse_iso(field, offset_secs)?,
        TimeFormat::EpochMillis | TimeFormat::EpochSeconds | TimeFormat::Any => {
            match fast_float2::parse::<f64, _>(field) {
                Ok(number) => epoch_micros(number, format)?,
                Err(_) => parse_iso(field, offset_secs)?,
            }
        }
    };
    in_range(micros)
}

/// A number of the profile's unit in microseconds.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked before the cast")]
pub(super) fn epoch_micros(number: f64, format: TimeFormat) -> Result<i64, NotATime> {
    let millis = match format {
        TimeFormat::EpochMillis => true,
        TimeFormat::Any => number >= FIRST_MILLIS,
        TimeFormat::Rfc3339 | TimeFormat::EpochSeconds => false,
    };
    let scale = if millis { 1e3 } else { 1e6 };
    let micros = (number * scale).round();
    // 2^53: everything in range is below it, and below it each microsecond is a double of its own.
    if micros.abs() < 9_007_199_254_740_992.0 { Ok(micros as i64) } else { Err(NotATime::OutOfRange) }
}

/// The instant itself, if a reading may have it.
pub(super) const fn in_range(micros: i64) -> Result<i64, NotATime> {
    if 0 <= micros && micros < END_MICROS { Ok(micros) } else { Err(NotATime::OutOfRange) }
}

fn parse_slashed_date(text: &[u8]) -> Result<i64, NotATime> {
    let mut parts = text.split(|byte| *byte == b'/');
    let (Some(day), Some(month), Some(year), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(NotATime::BadDate);
    };
    if year.len() != 4 {
        return Err(NotATime::BadDate);
    }
    days_since_epoch(digits(year), digits(month), digits(day))
}

fn days_since_epoch(year: Option<i64>, month: Option<i64>, day: Option<i64>) -> Result<i64, NotATime> {
    let (Some(year), Some(month), Some(day)) = (year, month, day) else { return Err(NotATime::BadDate) };
    let part = |value: i64| u32::try_from(value).map_err(|_| NotATime::BadDate);
    let year = i32::try_from(year).map_err(|_| NotATime::BadDate)?;
    let date = NaiveDate::from_ymd_opt(year, part(month)?, part(day)?).ok_or(NotATime::BadDate)?;
    Ok(i64::from(date.to_epoch_days()))
}

/// Seconds of `hh:mm:ss`; hours and the rest have one or two digits.
fn parse_clock(text: &[u8]) -> Result<i64, NotATime> {
    let (hour, minute, second) = if let [h1, h2, b':', m1, m2, b':', s1, s2] = text {
        (digits(&[*h1, *h2]), digits(&[*m1, *m2]), digits(&[*s1, *s2]))
    } else {
        let mut parts = text.split(|byte| *byte == b':');
        let (hour, minute) = (parts.next().and_then(digits), parts.next().and_then(digits));
        let second = parts.next().map_or(Some(0), digits);
        if parts.next().is_some() {
            return Err(NotATime::BadClock);
        }
        (hour, minute, second)
    };
    match (hour, minute, second) {
        (Some(h @ 0..24), Some(m @ 0..60), Some(s @ 0..60)) => Ok(h * 3600 + m * 60 + s),
        _ => Err(NotATime::BadClock),
    }
}

fn parse_iso(text: &[u8], offset_secs: i64) -> Result<i64, NotATime> {
    let bad = NotATime::BadInstant;
    if text.len() < 16 || text[4] != b'-' || text[7] != b'-' || !matches!(text[10], b'T' | b't' | b' ') {
        return Err(bad);
    }
    let days = days_since_epoch(digits(&text[..4]), digits(&text[5..7]), digits(&text[8..10]))?;
    let rest = &text[11..];
    let zone_at = rest.iter().position(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-')).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let (clock, fraction) = match memchr::memchr(b'.', clock) {
        Some(at) => (&clock[..at], &clock[at + 1..]),
        None => (clock, &[][..]),
    };
    let seconds = parse_clock(clock.trim_ascii())?;
    let offset_secs = match zone {
        [] => offset_secs,
        [b'Z' | b'z'] => 0,
        [sign, hours_minutes @ ..] => {
            let (hours, minutes) = match hours_minutes {
                [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => (digits(&[*h1, *h2]), digits(&[*m1, *m2])),
                [h1, h2] => (digits(&[*h1, *h2]), Some(0)),
                _ => return Err(bad),
            };
            match (hours, minutes) {
                (Some(h @ 0..24), Some(m @ 0..60)) if *sign == b'-' => -(h * 3600 + m * 60),
                (Some(h @ 0..24), Some(m @ 0..60)) => h * 3600 + m * 60,
                _ => return Err(bad),
            }
        }
    };
    Ok((days * SECONDS_PER_DAY + seconds - offset_secs) * MICROS_PER_SECOND + fraction_micros(fraction)?)
}

/// Microseconds of the digits after a point; finer ones are cut off.
fn fraction_micros(fraction: &[u8]) -> Result<i64, NotATime> {
    let fraction = fraction.trim_ascii();
    if fraction.is_empty() {
        return Ok(0);
    }
    let mut micros = 0;
    let mut unit = 100_000;
    for &byte in fraction {
        if !byte.is_ascii_digit() {
            return Err(NotATime::BadClock);
        }
        micros += i64::from(byte - b'0') * unit;
        unit /= 10;
    }
    Ok(micros)
}

/// A number of 1 to 4 digits.
fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 4 {
        return None;
    }
    text.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn instant(micros: i64) -> String {
        DateTime::<Utc>::from_timestamp_micros(micros).unwrap().to_rfc3339()
    }

    #[test]
    fn a_uci_time_is_read_at_its_fixed_offset() {
        let mut time = UciTime::default();
        assert_eq!(instant(time.parse(b"1/1/2007", b"00:00:00", 3600).unwrap()), "2006-12-31T23:00:00+00:00");
        assert_eq!(instant(time.parse(b"29/2/2008", b"23:59:00", 3600).unwrap()), "2008-02-29T22:59:00+00:00");
        assert_eq!(time.parse(b"29/2/2007", b"00:00:00", 3600), Err(NotATime::BadDate));
        assert_eq!(time.parse(b"2007-01-01", b"00:00:00", 3600), Err(NotATime::BadDate));
        assert_eq!(time.parse(b"1/1/07", b"00:00:00", 3600), Err(NotATime::BadDate));
        assert_eq!(time.parse(b"1/1/2007", b"24:00:00", 3600), Err(NotATime::BadClock));
        assert_eq!(time.parse(b"1/1/2007", b"", 3600), Err(NotATime::BadClock));
        assert_eq!(time.parse(b"", b"00:00:00", 3600), Err(NotATime::BadDate));
    }

    #[test]
    fn a_bad_date_is_not_remembered_as_the_last_good_one() {
        let mut time = UciTime::default();
        assert!(time.parse(b"1/1/2007", b"00:00:00", 0).is_ok());
        assert!(time.parse(b"99/1/2007", b"00:00:00", 0).is_err());
        assert!(time.parse(b"99/1/2007", b"00:00:00", 0).is_err());
        assert!(time.parse(b"1/1/2007", b"00:00:00", 0).is_ok());
    }

    #[test]
    fn years_before_1970_and_after_2200_are_out_of_range() {
        let mut time = UciTime::default();
        assert_eq!(time.parse(b"31/12/1969", b"23:59:59", 0), Err(NotATime::OutOfRange));
        assert_eq!(time.parse(b"1/1/1970", b"00:00:00", 0), Ok(0));
        assert!(time.parse(b"31/12/2200", b"23:59:59", 0).is_ok());
        assert_eq!(time.parse(b"1/1/2201", b"00:00:00", 0), Err(NotATime::OutOfRange));
        assert_eq!(parse_instant(b"1e300", TimeFormat::EpochMillis, 0), Err(NotATime::OutOfRange));
        assert_eq!(parse_instant(b"nan", TimeFormat::EpochMillis, 0), Err(NotATime::OutOfRange));
    }

    #[test]
    fn an_instant_is_read_in_every_written_form() {
        let read = |text: &str| parse_instant(text.as_bytes(), TimeFormat::Rfc3339, 3600).map(instant);
        for same in
            ["2007-01-01T00:00:00Z", "2007-01-01 01:00", "2007-01-01T01:00:00+01:00", "2006-12-31T22:30:00.000-0130"]
        {
            assert_eq!(read(same).as_deref(), Ok("2007-01-01T00:00:00+00:00"), "{same}");
        }
        assert_eq!(read("2007-01-01T00:00:00.25Z").as_deref(), Ok("2007-01-01T00:00:00.250+00:00"));
        for bad in ["2007-1-1", "yesterday", "2007-01-01T00:00:00+9", "2007-13-01T00:00:00Z", "2007-01-01T00:00:00.xZ"]
        {
            assert!(read(bad).is_err(), "{bad} was read");
        }
        assert_eq!(parse_instant(b"1706729400000", TimeFormat::EpochMillis, 3600), Ok(1_706_729_400_000_000));
        assert_eq!(parse_instant(b"1706729400.5", TimeFormat::EpochSeconds, 3600), Ok(1_706_729_400_500_000));
    }
}
