//! Whether a message that became no reading names a device all the same.

use serde_json::Value;

use super::{StreamProfile, decode::joined_key};
use crate::position::DeviceId;

/// Looks for a device in messages that no decoder understands. A name that is neither whole nor in the fields that make it
/// (cut off, compressed, in another encoding) is not found.
#[derive(Debug, Clone)]
pub struct Mention {
    device: String,
    key_fields: Vec<String>,
}

impl Mention {
    /// Looks for a device of a stream.
    #[must_use]
    pub fn of(profile: &StreamProfile, device: &DeviceId) -> Self {
        Self { device: device.as_str().to_owned(), key_fields: profile.key_fields.clone() }
    }

    /// Whether the message's key, its bytes, or what is said of it name the device: as a word, or as the fields that make
    /// its name.
    #[must_use]
    pub fn is_in(&self, key: Option<&[u8]>, raw: &[u8], reason: &str) -> bool {
        let name = self.device.as_bytes();
        key.is_some_and(|key| holds_word(key, name))
            || holds_word(raw, name)
            || holds_word(reason.as_bytes(), name)
            || serde_json::from_slice::<Value>(raw).is_ok_and(|message| self.is_named_by(&message))
    }

    /// Fields that escape the name, or hold it in parts.
    fn is_named_by(&self, message: &Value) -> bool {
        let parts: Option<Vec<String>> =
            self.key_fields.iter().map(|field| message.get(field).and_then(text_of)).collect();
        parts.is_some_and(|parts| joined_key(parts.iter().map(String::as_str)) == self.device)
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
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
    use super::*;
    use crate::{position::StreamName, stream::StreamRegistry};

    fn mention(stream: &str, device: &str) -> Mention {
        let registry = StreamRegistry::built_in().unwrap();
        let profile = registry.find(&StreamName::parse(stream).unwrap()).unwrap();
        Mention::of(profile, &DeviceId::parse(device).unwrap())
    }

    #[test]
    fn a_device_is_found_as_a_word_of_key_bytes_or_reason() {
        let meter = mention("household", "m-1");
        assert!(meter.is_in(Some(b"m-1"), b"", ""));
        assert!(meter.is_in(None, b"{\"meter_id\":\"m-1\",", ""));
        assert!(meter.is_in(None, b"\xff\x00 m-1", "") || meter.is_in(None, b"m-1;2007", ""));
        assert!(meter.is_in(None, b"", "the time of m-1 is missing"));
        assert!(!meter.is_in(Some(b"m-10"), b"am-1 m-1-2 m-11", "m_1"));
        assert!(!meter.is_in(None, b"", ""));
    }

    #[test]
    fn a_name_in_several_fields_or_escaped_is_found_as_well() {
        let registry = StreamRegistry::built_in().unwrap();
        let profile = registry.find(&StreamName::parse("household").unwrap()).unwrap();
        let several = StreamProfile { key_fields: vec!["site".into(), "unit".into()], ..profile.clone() };
        let boiler = Mention::of(&several, &DeviceId::parse("Lyon/7").unwrap());
        assert!(boiler.is_in(None, br#"{"unit": 7, "site": "Lyon"}"#, ""));
        assert!(!boiler.is_in(None, br#"{"unit": 8, "site": "Lyon"}"#, ""));
        let escaped = Mention::of(profile, &DeviceId::parse("a\"b").unwrap());
        let message = serde_json::json!({ profile.key_fields[0].as_str(): "a\"b" }).to_string();
        assert!(escaped.is_in(None, message.as_bytes(), ""));
    }
}
