//! A message that could not become a reading, kept whole with the reason.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::position::SourcePosition;

/// Enough to find the message again, to understand it and to replay it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it stands in its log, or the row of its file.
    pub position: SourcePosition,
    /// The key of the message, if it had one.
    pub key: Option<Bytes>,
    /// The bytes as they came; empty for a tombstone.
    pub raw: Bytes,
    /// What is wrong, for a person.
    pub reason: String,
    /// The log's timestamp; for a file, the time of the ingest.
    pub seen_at: DateTime<Utc>,
}

/// Characters of a foreign text that a reason quotes.
const QUOTED_CHARS: usize = 60;

/// The beginning of a text from outside, as a reason may quote it: a reason stays one short line, and Postgres takes no
/// text with a NUL in it.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let mut quoted = String::new();
    for character in text.chars().take(QUOTED_CHARS) {
        if character.is_control() {
            quoted.extend(character.escape_default());
        } else {
            quoted.push(character);
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_has_no_control_characters() {
        assert_eq!(excerpt("a\u{0}b\nc \u{e9}"), "a\\u{0}b\\nc \u{e9}");
        assert_eq!(excerpt(&"x".repeat(1000)).len(), QUOTED_CHARS);
    }
}
