//! Bytes become readings, by the profile alone: no clock, no device table, no setting.
//!
//! payload -[`Decoder`]-> [`Reading`], or a [`DecodeError`] that names the field and the fix. `time` reads instants,
//! `key` joins the parts of a device's name, `object` walks the JSON in one pass and builds no tree.

mod error;
mod key;
mod object;
pub(crate) mod time;

use self::time::TimeReader;
use crate::{reading::Reading, stream::profile::StreamProfile};

pub use error::DecodeError;
pub use key::joined_key;
pub use time::FIRST_MILLIS;

/// Raised whenever the same bytes may decode to something else.
pub const DECODER_VERSION: u32 = 1;

/// Header in which a simulator sends the kind of an injected anomaly, out of band.
pub const INJECTED_HEADER: &str = "kilowatch-injected";

/// Largest payload in bytes. Kafka brokers refuse larger messages by default, and a reading has some hundred bytes.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

/// Makes readings of one stream's messages.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// The names of payload fields, aliases after all others, each with its place in `roles`.
    fields: Vec<Field>,
    /// What each field means; the parts of the key come first, then the time.
    roles: Vec<Role>,
    key_parts: usize,
    measures: usize,
    tags: usize,
    time: TimeReader,
}

/// A name of a payload field that the profile knows.
#[derive(Debug, Clone)]
struct Field {
    name: Box<str>,
    role: usize,
}

/// What a field says, with its place in the reading.
#[derive(Debug, Clone, Copy)]
enum Role {
    /// A part of the device's name, and the tag that it is besides.
    Key {
        part: usize,
        tag: Option<usize>,
    },
    Time,
    Measure(usize),
    Tag(usize),
}

impl Decoder {
    /// A decoder of this profile.
    #[must_use]
    pub fn new(profile: &StreamProfile) -> Self {
        let tag_of = |name: &String| profile.tags.iter().position(|tag| tag == name);
        let parts = profile.key_fields.iter().enumerate();
        let mut named: Vec<(&String, Role)> =
            parts.map(|(part, key)| (key, Role::Key { part, tag: tag_of(key) })).collect();
        named.push((&profile.time_field, Role::Time));
        named.extend(profile.measures.iter().enumerate().map(|(i, m)| (&m.name, Role::Measure(i))));
        let plain = profile.tags.iter().enumerate().filter(|(_, tag)| !profile.key_fields.contains(tag));
        named.extend(plain.map(|(i, tag)| (tag, Role::Tag(i))));
        let field = |name: &String, role| Field { name: name.as_str().into(), role };
        let mut fields: Vec<Field> = named.iter().enumerate().map(|(role, (name, _))| field(name, role)).collect();
        for (alias, name) in &profile.aliases {
            fields.extend(named.iter().position(|(known, _)| *known == name).map(|role| field(alias, role)));
        }
        Self {
            fields,
            roles: named.into_iter().map(|(_, role)| role).collect(),
            key_parts: profile.key_fields.len(),
            measures: profile.measures.len(),
            tags: profile.tags.len(),
            time: TimeReader::new(profile.time_format, profile.utc_offset_minutes),
        }
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
mod profiles;
#[cfg(test)]
mod tests;
