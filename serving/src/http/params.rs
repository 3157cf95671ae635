//! Query parameters, read strictly: a misspelt filter must not look like an empty answer.

use std::{collections::BTreeMap, str::FromStr};

use actix_web::web;
use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use kilowatch_shared::position::DeviceId;

use super::{ApiError, ErrorCode, shorten};

/// The parameters of one request by name. An empty one counts as absent, because forms send all their fields.
#[derive(Debug)]
pub(crate) struct Params {
    values: BTreeMap<String, String>,
}

impl Params {
    /// Reads a query; refuses names that are not in `known`, and repeated ones.
    pub fn parse(query: &str, known: &[&str]) -> Result<Self, ApiError> {
        let params = Self::parse_any(query)?;
        params.require_known(known)?;
        Ok(params)
    }

    /// Reads a query whose names are known only after a look into it; [`Self::require_known`] has to follow.
    pub fn parse_any(query: &str) -> Result<Self, ApiError> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|error| ApiError::new(ErrorCode::InvalidParameter, format!("the query is not readable: {error}")))?
            .into_inner();
        Self::from_pairs(pairs)
    }

    /// Takes the fields of a form.
    pub fn from_pairs(pairs: Vec<(String, String)>) -> Result<Self, ApiError> {
        let mut values = BTreeMap::new();
        for (name, value) in pairs {
            let again = values.insert(name.clone(), value).is_some();
            if again {
                let message = format!("{} is given twice", shorten(&name));
                return Err(ApiError::new(ErrorCode::RepeatedParameter, message).hint("give every parameter once"));
            }
        }
        Ok(Self { values })
    }

    /// Refuses names that are not in `known`.
    pub fn require_known(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.values.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(unknown(name, known)),
            None => Ok(()),
        }
    }

    /// The parameters that have a value, by name.
    pub fn given(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.keys().filter_map(|name| self.text(name).map(|value| (name.as_str(), value)))
    }

    /// The value of a parameter, if it has one.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The value of a parameter as `parse` understands it.
    pub fn get<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ApiError> {
        self.text(name)
            .map(|value| parse(value).map_err(|rule| ApiError::invalid_parameter(name, value, rule)))
            .transpose()
    }

    /// A device.
    pub fn device(&self) -> Result<Option<DeviceId>, ApiError> {
        self.get("device_id", |value| DeviceId::parse(value).map_err(|error| format!("must be {}", error.rule)))
    }

    /// An instant, or a date that begins at `offset`'s midnight.
    pub fn time(&self, name: &str, offset: FixedOffset) -> Result<Option<DateTime<Utc>>, ApiError> {
        self.get(name, |value| parse_time(value, offset))
    }

    /// How many at most, 1 to `most`.
    pub fn limit(&self, default: u32, most: u32) -> Result<u32, ApiError> {
        let limit = self.get("limit", |value| {
            u32::from_str(value)
                .ok()
                .filter(|limit| (1..=most).contains(limit))
                .ok_or_else(|| format!("must be a whole number from 1 to {most}"))
        })?;
        Ok(limit.unwrap_or(default))
    }
}

fn unknown(name: &str, known: &[&str]) -> ApiError {
    let shown = shorten(name);
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(candidate, &shown), *candidate))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    let error = ApiError::new(ErrorCode::UnknownParameter, format!("unknown parameter {shown:?}"));
    match nearest {
        Some((_, nearest)) => error.hint(format!("did you mean {nearest}? known: {}", known.join(", "))),
        None if known.is_empty() => error.hint("this route takes no parameters"),
        None => error.hint(format!("known: {}", known.join(", "))),
    }
}

/// Reads an RFC 3339 instant, a date (its midnight at `offset`), or a date and time without a zone (at `offset`), which
/// is what a browser's date field sends.
pub(crate) fn parse_time(text: &str, offset: FixedOffset) -> Result<DateTime<Utc>, String> {
    // An unescaped plus sign of an offset arrives as a blank.
    let repaired = text.replace(' ', "+");
    let local = |naive: NaiveDateTime| offset.from_local_datetime(&naive).single().map(|time| time.with_timezone(&Utc));
    let instant = DateTime::parse_from_rfc3339(&repaired)
        .ok()
        .map(|time| time.with_timezone(&Utc))
        .or_else(|| {
            NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| local(day.and_time(NaiveTime::MIN)))
        })
        .or_else(|| {
            ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"]
                .into_iter()
                .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
                .and_then(local)
        });
    instant.filter(|instant| (1900..=2200).contains(&instant.year())).ok_or_else(|| {
        "must be a time as in 2007-01-31T18:00:00Z or a date as in 2007-01-31, in 1900 to 2200".to_owned()
    })
}

/// Reads an offset from UTC as in `+01:00`, `-05:30` or `Z`.
pub(crate) fn parse_offset(text: &str) -> Result<FixedOffset, String> {
    let rule = || "must be an offset as in +01:00, -05:30 or Z, at most 14 hours".to_owned();
    if text.eq_ignore_ascii_case("z") {
        return FixedOffset::east_opt(0).ok_or_else(rule);
    }
    // An unescaped plus sign arrives as a blank, which trimming removes.
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = digits.split_once(':').ok_or_else(rule)?;
    let two_digits = |part: &str| {
        let is_plain = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| part.parse::<i32>().ok()).flatten()
    };
    let (hours, minutes) = two_digits(hours).zip(two_digits(minutes)).ok_or_else(rule)?;
    let total = hours * 60 + minutes;
    if minutes > 59 || total > 14 * 60 {
        return Err(rule());
    }
    FixedOffset::east_opt(sign * total * 60).ok_or_else(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn east(seconds: i32) -> FixedOffset {
        FixedOffset::east_opt(seconds).unwrap()
    }

    #[test]
    fn a_plus_sign_that_was_not_escaped_is_understood() {
        let params =
            Params::parse("from=2007-01-01T00:00:00+01:00&utc_offset=+01:00", &["from", "utc_offset"]).unwrap();
        let from = params.time("from", east(0)).unwrap().unwrap();
        assert_eq!(from.to_rfc3339(), "2006-12-31T23:00:00+00:00");
        assert_eq!(params.get("utc_offset", parse_offset).unwrap(), Some(east(3600)));
    }

    #[test]
    fn a_date_begins_at_the_local_midnight() {
        let instant = parse_time("2007-01-31", east(3600)).unwrap();
        assert_eq!(instant.to_rfc3339(), "2007-01-30T23:00:00+00:00");
        assert_eq!(parse_time("2007-01-31T00:00", east(3600)).unwrap(), instant);
        for bad in ["yesterday", "2007-13-01", "0001-01-01", "9999-01-01T00:00:00Z", ""] {
            assert!(parse_time(bad, east(0)).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn an_offset_that_no_place_has_is_refused() {
        assert_eq!(parse_offset("-05:30").unwrap(), east(-19_800));
        for bad in ["1", "+1:00", "15:00", "+14:01", "+01:60", "--1:00", "+0a:00"] {
            assert!(parse_offset(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_misspelt_parameter_is_refused_with_its_neighbour() {
        let error = Params::parse("devise_id=m", &["stream", "device_id"]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::UnknownParameter);
        assert!(error.public_hint().unwrap().starts_with("did you mean device_id?"));
        assert_eq!(Params::parse("a=1&a=2", &["a"]).unwrap_err().code(), ErrorCode::RepeatedParameter);
    }
}
