//! Instants in JSON: RFC 3339 in UTC, with fractions only where there are some.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serializer;

/// The instant as text.
pub(crate) fn text(instant: &DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

pub(crate) fn serialize<S: Serializer>(instant: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(instant))
}
