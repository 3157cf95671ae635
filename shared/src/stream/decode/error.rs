//! Why bytes are no reading, in words for the person who reads the dead letters.

use super::MAX_PAYLOAD_BYTES;

/// A message that cannot become a reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message has no payload at all.
    #[error("a tombstone (a message without payload) is no reading; send a JSON object")]
    Tombstone,
    /// The payload has no byte.
    #[error("the payload is empty; send a JSON object")]
    Empty,
    /// The payload is larger than a reading can be.
    #[error(
        "the payload has {size_bytes} bytes, a reading has at most {MAX_PAYLOAD_BYTES}; send one reading a message"
    )]
    TooLarge {
        /// Its size.
        size_bytes: usize,
    },
    /// The payload is no text.
    #[error("the payload is not UTF-8 from byte {byte} on; send JSON in UTF-8")]
    NotUtf8 {
        /// The first byte that is wrong.
        byte: usize,
    },
    /// The payload is text, but not JSON.
    #[error("the payload is not JSON: {reason}")]
    NotJson {
        /// What the parser said, with its place.
        reason: String,
    },
    /// The payload is JSON, but not an object.
    #[error("the payload is not a JSON object ({found}); send one object a message")]
    NotAnObject {
        /// What was found.
        found: &'static str,
    },
    /// A field that every reading needs is not there.
    #[error("field `{field}` is missing; {fix}")]
    MissingField {
        /// Its name.
        field: Box<str>,
        /// What to do.
        fix: &'static str,
    },
    /// A field stands twice in the object, so it is unknown which one was meant.
    #[error("field `{field}` is named twice; send it once")]
    RepeatedField {
        /// Its name.
        field: Box<str>,
    },
    /// A field has a value that it cannot have.
    #[error("field `{field}`: {reason}; {fix}")]
    InvalidField {
        /// Its name.
        field: Box<str>,
        /// What is wrong with the value.
        reason: String,
        /// What to do.
        fix: &'static str,
    },
}
