//! Bytes become readings, by the profile alone: no clock, no device table, no setting.
//!
//! payload -[`Decoder`]-> [`Reading`], or a [`DecodeError`] that names the field and the fix. `time` reads instants,
//! `object` walks the JSON in one pass and builds no tree.

mod error;
mod object;
pub(crate) mod time;

use crate::{
    reading::Reading,
    stream::profile::{StreamProfile, TimeFormat},
};

pub use error::DecodeError;

/// Raised whenever the same bytes may decode to something else.
pub const DECODER_VERSION: u32 = 1;

/// Header in which a simulator sends the kind of an injected anomaly, out of band.
pub const INJECTED_HEADER: &str = "kilowatch-injected";

/// Largest payload in bytes. Kafka brokers refuse larger messages by default, and a reading has some hundred bytes.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

/// Makes readings of one stream's messages.
#[derive(Debug, Clone)]
pub struct Decoder {
    fields: Vec<Field>,
    measures: usize,
    tags: usize,
    time_format: TimeFormat,
}

/// A field of the payload that the profile knows.
#[derive(Debug, Clone)]
struct Field {
    name: Box<str>,
    role: Role,
}

/// What a field says, with its place in the reading.
#[derive(Debug, Clone, Copy)]
enum Role {
    Key,
    Time,
    Measure(usize),
    Tag(usize),
}

impl Decoder {
    /// A decoder of this profile.
    #[must_use]
    pub fn new(profile: &StreamProfile) -> Self {
        let field = |name: &str, role| Field { name: name.into(), role };
        let mut fields = vec![field(&profile.key_field, Role::Key), field(&profile.time_field, Role::Time)];
        fields.extend(profile.measures.iter().enumerate().map(|(i, m)| field(&m.name, Role::Measure(i))));
        fields.extend(profile.tags.iter().enumerate().map(|(i, tag)| field(tag, Role::Tag(i))));
        Self { fields, measures: profile.measures.len(), tags: profile.tags.len(), time_format: profile.time_format }
    }

    /// Decodes one JSON object. Fields that the profile does not name are ignored; a measure or tag that is absent or
    /// null is missing. Event times are kept in microseconds, as the lake keeps them.
    ///
    /// # Errors
    /// [`DecodeError`]; the same bytes give the same error.
    pub fn decode(&self, payload: &[u8]) -> Result<Reading, DecodeError> {
        if payload.is_empty() {
            return Err(DecodeError::Empty);
        }
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(DecodeError::TooLarge { size_bytes: payload.len() });
        }
        let text = std::str::from_utf8(payload).map_err(|error| DecodeError::NotUtf8 { byte: error.valid_up_to() })?;
        object::decode(self, text)
    }
}

#[cfg(test)]
mod tests;
