//! Numbers and instants for people.

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use kilowatch_shared::wording::grouped;

/// A true minus sign, as wide as a digit.
const MINUS: char = '−';

/// A value with three significant digits, at most three decimals: 0.042, 1.53, 241, 12,345.
pub(super) fn value(number: f64) -> String {
    if !number.is_finite() {
        return "–".to_owned();
    }
    let size = number.abs();
    let decimals = if size >= 100.0 || size == 0.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        3
    };
    let text = format!("{size:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let sign = if number < 0.0 && text.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
        MINUS.to_string()
    } else {
        String::new()
    };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", whole.parse().map_or_else(|_| whole.to_owned(), grouped))
}

/// The same without zeros at the end, for a bound inside a sentence: 0.2, 80.
pub(super) fn bound(number: f64) -> String {
    let text = value(number);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A share as a percentage; one that is not whole is never shown as 100 %.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let shown = if share < 1.0 { (percent * 10.0).floor() / 10.0 } else { percent };
    if shown.fract() == 0.0 { format!("{shown:.0} %") } else { format!("{shown:.1} %") }
}

/// A local day and minute: `Sat 21 Nov 2026, 18:05`.
pub(super) fn minute(instant: DateTime<Utc>, offset: FixedOffset) -> String {
    instant.with_timezone(&offset).format("%a %-d %b %Y, %H:%M").to_string()
}

/// The same for tables: `2026-11-21 18:05:09`, seconds only where there are some.
pub(super) fn table_time(instant: DateTime<Utc>, offset: FixedOffset) -> String {
    let whole_minute = instant.timestamp() % 60 == 0;
    let format = if whole_minute { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M:%S" };
    instant.with_timezone(&offset).format(format).to_string()
}

/// `UTC` or `UTC+01:00`.
pub(super) fn zone(offset: FixedOffset) -> String {
    if offset.local_minus_utc() == 0 { "UTC".to_owned() } else { format!("UTC{offset}") }
}

/// How long ago: `now`, `12 s ago`, `5 min ago`, `3 h ago`, `6 days ago`.
pub(super) fn ago(instant: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let passed = now - instant;
    if passed < TimeDelta::seconds(5) { "now".to_owned() } else { format!("{} ago", duration(passed)) }
}

/// A length of time: `12 s`, `5 min`, `3 h`, `6 days`.
pub(super) fn duration(length: TimeDelta) -> String {
    match length.num_seconds().max(0) {
        seconds @ 0..=99 => format!("{seconds} s"),
        seconds @ 100..=5_999 => format!("{} min", seconds / 60),
        seconds @ 6_000..=172_799 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// The first twelve digits of an id, as many as a person compares.
pub(super) fn short_id(id: &str) -> String {
    id.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_three_digits() {
        let shown: Vec<String> =
            [0.0, 0.0421, 1.529, -12.34, 241.97, 12345.6, -0.0001, f64::INFINITY].map(value).into();
        assert_eq!(shown, ["0", "0.042", "1.53", "−12.3", "242", "12,346", "0.000", "–"]);
        assert_eq!([0.2, 80.0, 100.0, -1.5].map(bound), ["0.2", "80", "100", "−1.5"]);
    }

    #[test]
    fn a_share_that_misses_something_is_not_called_whole() {
        assert_eq!([1.0, 0.9999, 0.5, 0.123].map(percent), ["100 %", "99.9 %", "50 %", "12.3 %"]);
    }
}
