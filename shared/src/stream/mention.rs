//! Whether a message that became no reading is a device's, or names it.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::{StreamProfile, decode::joined_key};
use crate::{dead_letter::DeadLetter, position::DeviceId};

/// Looks for a device in dead letters. The fields that name a device decide, as far as the message can be read; where they
/// cannot, its key does: a log is keyed by device, and the bad line of a file is kept under its device if that is known.
/// A message without either is the device's if it has the name as a word. A name that is cut off, compressed or in
/// another encoding is not found.
#[derive(Debug, Clone)]
pub struct Mention {
    device: String,
    /// The device's name as JSON writes it inside quotes.
    escaped: String,
    /// The names of each field that makes a device's name, its aliases included.
    key_fields: Vec<Vec<String>>,
}

impl Mention {
    /// Looks for a device of a stream.
    #[must_use]
    pub fn of(profile: &StreamProfile, device: &DeviceId) -> Self {
        let names = |field: &String| {
            let aliases = profile.aliases.iter().filter(|(_, name)| *name == field).map(|(alias, _)| alias);
            std::iter::once(field).chain(aliases).cloned().collect()
        };
        let quoted = Value::from(device.as_str()).to_string();
        Self {
            device: device.as_str().to_owned(),
            escaped: quoted[1..quoted.len() - 1].to_owned(),
            key_fields: profile.key_fields.iter().map(names).collect(),
        }
    }

    /// Whether the letter is the device's, or names it where it cannot be told whose it is.
    #[must_use]
    pub fn is_in(&self, letter: &DeadLetter) -> bool {
        let key = || letter.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).filter(|key| !key.is_empty());
        match self.named_by_fields(&letter.raw) {
            Some(named) => named == self.device,
            None => match key() {
                Some(key) => key == self.device,
                None => [&self.device, &self.escaped].iter().any(|name| holds_word(&letter.raw, name.as_bytes())),
            },
        }
    }

    /// The device that a message names, which need not be JSON to its end; `None` unless each field is there, and once.
    fn named_by_fields(&self, raw: &[u8]) -> Option<String> {
        let mut parts = KeyParts { fields: &self.key_fields, found: vec![Vec::new(); self.key_fields.len()] };
        // What was read before an error counts, so the error says nothing.
        _ = serde_json::Deserializer::from_slice(raw).deserialize_map(&mut parts);
        let parts =
            parts.found.into_iter().map(|values| <[Option<String>; 1]>::try_from(values).ok().and_then(|[v]| v));
        let parts: Vec<String> = parts.collect::<Option<_>>()?;
        Some(joined_key(parts.iter().map(String::as_str)))
    }
}

/// The values of the fields that name a device, as they are come upon.
struct KeyParts<'a> {
    fields: &'a [Vec<String>],
    found: Vec<Vec<Option<String>>>,
}

impl<'de> Visitor<'de> for &mut KeyParts<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match self.fields.iter().position(|names| names.contains(&name)) {
                Some(part) => self.found[part].push(text_of(map.next_value()?)),
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether the bytes hold a name that no letter, digit, `-` or `_` goes on before or behind: `m-1` is not in `m-10`.
fn holds_word(bytes: &[u8], name: &[u8]) -> bool {
    let goes_on = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || !byte.is_ascii())
    };
    (0..bytes.len().saturating_sub(name.len().saturating_sub(1))).any(|at| {
        bytes[at..].starts_with(name)
            && !goes_on(at.checked_sub(1).and_then(|before| bytes.get(before)))
            && !goes_on(bytes.get(at + name.len()))
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;

    use super::*;
    use crate::{
        lake::schema::ERASED_REASON,
        position::{Offset, SourceId, SourcePosition, StreamName},
        stream::StreamRegistry,
    };

    fn household() -> StreamProfile {
        StreamRegistry::built_in().unwrap().find(&StreamName::parse("household").unwrap()).unwrap().clone()
    }

    fn letter(key: Option<&str>, raw: &str) -> DeadLetter {
        let source = SourceId::parse("log:1:energy").unwrap();
        DeadLetter {
            position: SourcePosition { source, partition: 0, offset: Offset::ZERO },
            key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
            raw: Bytes::copy_from_slice(raw.as_bytes()),
            reason: ERASED_REASON.to_owned(),
            seen_at: DateTime::default(),
        }
    }

    fn is_in(profile: &StreamProfile, device: &str, key: Option<&str>, raw: &str) -> bool {
        Mention::of(profile, &DeviceId::parse(device).unwrap()).is_in(&letter(key, raw))
    }

    #[test]
    fn a_letters_fields_decide_and_else_its_key_and_else_a_word() {
        let found = |device: &str, key, raw: &str| is_in(&household(), device, key, raw);
        let field = &household().key_fields[0];
        let of_7 = format!(r#"{{"{field}": "m-7", "status": "error", "voltage": NaN}}"#);
        assert!(found("m-7", Some("error"), &of_7), "read as far as it goes");
        assert!(!found("error", Some("error"), &of_7));
        assert!(found("m-7", Some("m-7"), "error 5"));
        assert!(!found("error", Some("m-7"), "error 5"));
        assert!(found("error", None, "error 5"));
        assert!(found("m-7", None, "m-7;2007") && found("m-7", None, "{\"id\":\"m-7\","));
        assert!(!found("m-7", None, "am-7 m-7-2 m-77") && !found("m-7", None, ""));
        let both = format!(r#"{{"{field}": "m-7", "{field}": "m-8"}}"#);
        assert!(found("m-7", None, &both) && found("m-8", None, &both), "nobody knows whose it is");
    }

    #[test]
    fn a_tombstone_is_nobodys() {
        assert!(!is_in(&household(), ERASED_REASON, None, ""));
    }

    #[test]
    fn a_name_in_several_fields_by_another_name_or_escaped_is_found_as_well() {
        let mut profile = StreamProfile { key_fields: vec!["site".into(), "unit".into()], ..household() };
        profile.aliases.insert("plant".to_owned(), "site".to_owned());
        assert!(is_in(&profile, "Lyon/7", None, r#"{"unit": 7, "site": "Lyon"}"#));
        assert!(is_in(&profile, "Lyon/7", None, r#"{"plant": "Lyon", "unit": 7, "x""#));
        assert!(!is_in(&profile, "Lyon/7", None, r#"{"unit": 8, "site": "Lyon"}"#));
        assert!(is_in(&household(), "a\"b", None, r#"{"id": "a\"b", "#));
    }
}
