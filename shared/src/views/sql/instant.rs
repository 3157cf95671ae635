//! Instants as SQLite texts whose order is the order of time.

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};

const FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

/// The text of an instant, 27 characters; `None` outside of the years 0 to 9999, which have more than four digits.
#[must_use]
pub fn format(instant: DateTime<Utc>) -> Option<String> {
    (0..=9999).contains(&instant.year()).then(|| instant.format(FORMAT).to_string())
}

/// The instant of a text.
#[must_use]
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(text, FORMAT).ok().map(|naive| naive.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_order_as_the_instants_do_from_year_1_to_9999() {
        let instants = [
            "0001-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999999Z",
            "1970-01-01T00:00:00Z",
            "2007-01-01T00:00:00.000001Z",
            "9999-12-31T23:59:59.999999Z",
        ]
        .map(|text| text.parse::<DateTime<Utc>>().unwrap());
        let texts = instants.map(|instant| format(instant).unwrap());
        assert!(texts.is_sorted(), "{texts:?}");
        assert!(texts.iter().all(|text| text.len() == 27), "{texts:?}");
        assert_eq!(texts.map(|text| parse(&text).unwrap()), instants);
    }

    #[test]
    fn a_five_digit_year_has_no_text() {
        assert_eq!(format(DateTime::<Utc>::MAX_UTC), None);
        assert_eq!(format(DateTime::<Utc>::MIN_UTC), None);
    }
}
