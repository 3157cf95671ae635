//! Where a message or row came from: source, partition, offset.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::wording::excerpt;

/// A text that is not the id it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{value}`: {rule}")]
pub struct InvalidId {
    /// Which kind of id was expected.
    pub what: &'static str,
    /// What was found.
    pub value: String,
    /// What it has to look like.
    pub rule: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the id; this is the only way in.
            ///
            /// # Errors
            #[doc = concat!("[`InvalidId`] unless it is ", $rule, ".")]
            pub fn parse(value: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(value) {
                    Ok(Self(value.into()))
                } else {
                    Err(InvalidId { what: $what, value: excerpt(value), rule: $rule })
                }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(value: String) -> Result<Self, InvalidId> {
                Self::parse(&value)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(value: &str) -> Result<Self, InvalidId> {
                Self::parse(value)
            }
        }
    };
}

text_id!(
    /// Name of a stream, such as `household`; a folder in the lake and a part of transaction ids.
    StreamName,
    "stream name",
    "1 to 64 of a-z, 0-9 and `-`, beginning with a letter",
    |v| v.len() <= 64
        && v.starts_with(|c: char| c.is_ascii_lowercase())
        && v.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);

text_id!(
    /// A meter, plant, building or sensor, as its stream's key field names it.
    DeviceId,
    "device id",
    "1 to 200 characters without control characters",
    |v| !v.is_empty() && is_short_and_printable(v, 200)
);

impl DeviceId {
    /// SHA-256 of the name, in hex: under it an erased device stays on record, so that it can be asked for.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(self.as_str().as_bytes()))
    }
}

text_id!(
    /// Origin of positions: `kafka:<topic>#<generation>`, `log:<uuid>:<topic>`, `file:<sha256>` or `dead:<position>`.
    ///
    /// A topic that was deleted and made again is another source, so a position never means two messages.
    SourceId,
    "source",
    "`kafka:`, `log:`, `file:` or `dead:` and a name",
    |v| v.len() <= 400
        && v.split_once(':').is_some_and(|(kind, rest)| {
            matches!(kind, "kafka" | "log" | "file" | "dead") && !rest.is_empty()
        })
);

/// Whether a text has at most so many characters and none that controls.
pub(crate) fn is_short_and_printable(text: &str, most_chars: usize) -> bool {
    // Every message is asked twice, and nearly all of them are plain.
    if text.is_ascii() {
        return text.len() <= most_chars && !text.bytes().any(|byte| byte.is_ascii_control());
    }
    text.len() <= 4 * most_chars && text.chars().count() <= most_chars && !text.chars().any(char::is_control)
}

impl SourceId {
    /// Whether the source is an ordered log, whose positions the live fold judges, and not a file.
    #[must_use]
    pub fn is_log(&self) -> bool {
        self.0.starts_with("kafka:") || self.0.starts_with("log:")
    }
}

/// Position of a message in its partition; for a file, the row number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(u64);

impl Offset {
    /// The first offset of a fresh log.
    pub const ZERO: Self = Self(0);

    /// Wraps a number; values over `i64::MAX` do not occur in Kafka, SQL or Delta and are clamped to it.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(if value > i64::MAX as u64 { i64::MAX as u64 } else { value })
    }

    /// Takes the signed number that Kafka, SQL and Delta use.
    ///
    /// # Errors
    /// [`InvalidId`] if it is negative.
    pub fn try_from_i64(value: i64) -> Result<Self, InvalidId> {
        u64::try_from(value).map(Self).map_err(|_| InvalidId {
            what: "offset",
            value: value.to_string(),
            rule: "zero or more",
        })
    }

    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as SQL, Kafka and Delta store it.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// The offset `count` messages later.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self::new(self.0.saturating_add(count))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One ordered log of one stream: what a member claims, applies and closes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartitionId {
    /// The stream that the messages belong to.
    pub stream: StreamName,
    /// The log that they are in.
    pub source: SourceId,
    /// The partition of that log.
    pub partition: u32,
}

impl PartitionId {
    /// App id of the Delta `txn` that says how far the lake holds this partition.
    #[must_use]
    pub fn txn_app_id(&self) -> String {
        format!("{}/{}/{}", self.stream, self.source, self.partition)
    }

    /// The position of `offset` in this partition.
    #[must_use]
    pub fn at(&self, offset: Offset) -> SourcePosition {
        SourcePosition { source: self.source.clone(), partition: self.partition, offset }
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.stream, self.source, self.partition)
    }
}

/// Identity of a message or row. Two readings are the same one if, and only if, their positions are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourcePosition {
    /// The log or file.
    pub source: SourceId,
    /// Its partition; 0 for a file.
    pub partition: u32,
    /// The offset; the row number for a file.
    pub offset: Offset,
}

impl fmt::Display for SourcePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.source, self.partition, self.offset)
    }
}

impl std::str::FromStr for SourcePosition {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidId {
            what: "position",
            value: text.chars().take(80).collect(),
            rule: "`<source>/<partition>@<offset>`",
        };
        let (rest, offset) = text.rsplit_once('@').ok_or_else(invalid)?;
        let (source, partition) = rest.rsplit_once('/').ok_or_else(invalid)?;
        Ok(Self {
            source: SourceId::parse(source)?,
            partition: partition.parse().map_err(|_| invalid())?,
            offset: Offset::try_from_i64(offset.parse().map_err(|_| invalid())?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_folder_is_refused() {
        for bad in ["", "..", "a/b", "Household", "9lives", "a b"] {
            assert!(StreamName::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert_eq!(StreamName::parse("power-plant").unwrap().as_str(), "power-plant");
    }

    #[test]
    fn a_position_is_read_as_it_is_shown() {
        for shown in ["kafka:energy-stream#1/3@88412", "log:5f0c:a/b/0@0", "dead:kafka:t#1/0@7/0@0"] {
            assert_eq!(shown.parse::<SourcePosition>().unwrap().to_string(), shown);
        }
        for wrong in ["", "kafka:t#1", "kafka:t#1/0", "kafka:t#1/0@x", "kafka:t#1/0@-1", "t/0@1"] {
            assert!(wrong.parse::<SourcePosition>().is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn only_logs_are_judged_live() {
        assert!(SourceId::parse("kafka:energy-stream#1").unwrap().is_log());
        assert!(!SourceId::parse("file:9f2c").unwrap().is_log());
        assert!(SourceId::parse("ftp:x").is_err());
    }
}
