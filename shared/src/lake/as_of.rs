//! Which state of a table is meant: a version, or the one that was its newest at an instant.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};

/// A point in the history of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// This version.
    Version(i64),
    /// The newest version that was committed at or before the instant.
    Time(DateTime<Utc>),
}

/// A text that is no point in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a version, as in 12, or a time in RFC 3339, as in 2007-01-31T18:00:00Z")]
pub struct InvalidAsOf;

impl FromStr for AsOf {
    type Err = InvalidAsOf;

    fn from_str(text: &str) -> Result<Self, InvalidAsOf> {
        if let Ok(version) = text.parse::<u64>() {
            return i64::try_from(version).map(Self::Version).map_err(|_| InvalidAsOf);
        }
        DateTime::parse_from_rfc3339(text).map(|time| Self::Time(time.to_utc())).map_err(|_| InvalidAsOf)
    }
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "version {version}"),
            Self::Time(time) => write!(f, "{}", time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_version_and_anything_else_has_to_be_a_time() {
        assert_eq!("12".parse(), Ok(AsOf::Version(12)));
        assert_eq!("2007-01-31T19:00:00+01:00".parse::<AsOf>().unwrap().to_string(), "2007-01-31T18:00:00Z");
        for wrong in ["-1", "", "yesterday", "2007-01-31", "99999999999999999999"] {
            assert_eq!(wrong.parse::<AsOf>(), Err(InvalidAsOf), "{wrong}");
        }
    }
}
