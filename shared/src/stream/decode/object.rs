//! One pass over a JSON object, straight into a reading.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use smallvec::{SmallVec, smallvec};

use super::{
    DecodeError, Decoder, Field, Role, joined_key,
    time::{EXACT_INTEGERS, TimeProblem, TimeReader},
};
use crate::{
    position::{DeviceId, is_short_and_printable},
    reading::{MAX_MAGNITUDE, Measures, Reading, Tags},
};

const KEY_FIX: &str = "name the device by a text of 1 to 200 characters or by a whole number";
const MEASURE_FIX: &str = "send a finite number from -1e18 to 1e18, or null, or leave it out if it is missing";
const TAG_FIX: &str = "send a text of at most 200 characters, a number or true or false, or leave it out";

/// Longest tag in characters; a tag is a name, and a roll-up group is made of them.
const MAX_TAG_CHARS: usize = 200;

pub(super) fn decode(decoder: &Decoder, text: &str) -> Result<Reading, DecodeError> {
    let mut draft = Draft {
        key: SmallVec::new(),
        device: None,
        event_time: None,
        measures: smallvec![None; decoder.measures],
        tags: smallvec![None; decoder.tags],
        seen: smallvec![false; decoder.roles.len()],
        current: None,
        problem: None,
    };
    if decoder.key_parts > 1 {
        draft.key.resize(decoder.key_parts, None);
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let walked = ObjectSeed { decoder, draft: &mut draft }.deserialize(&mut json).and_then(|()| json.end());
    if let Err(error) = walked {
        return Err(draft.explain(decoder, text, &error));
    }
    let missing = |role: usize, fix| DecodeError::MissingField { field: decoder.fields[role].name.clone(), fix };
    let device = match draft.device.take() {
        Some(device) => device,
        None => draft.joined_device(decoder)?,
    };
    Ok(Reading {
        device,
        event_time: draft
            .event_time
            .ok_or_else(|| missing(decoder.key_parts, "every reading says there when it was taken"))?,
        measures: draft.measures,
        tags: draft.tags,
        injected: None,
    })
}

/// A reading in the making, and what went wrong in it.
struct Draft {
    /// The parts of the device's name, where there are several.
    key: SmallVec<[Option<Box<str>>; 2]>,
    device: Option<DeviceId>,
    event_time: Option<DateTime<Utc>>,
    measures: Measures,
    tags: Tags,
    seen: SmallVec<[bool; 16]>,
    /// The field whose value is being read.
    current: Option<usize>,
    /// serde carries its errors as text; ours wait here.
    problem: Option<DecodeError>,
}

impl Draft {
    /// The device whose name has several parts.
    fn joined_device(&self, decoder: &Decoder) -> Result<DeviceId, DecodeError> {
        let field = |part: usize| decoder.fields[part].name.clone();
        if let Some(part) = (0..decoder.key_parts).find(|part| self.key.get(*part).is_none_or(Option::is_none)) {
            let fix = "every reading names its device there";
            return Err(DecodeError::MissingField { field: field(part), fix });
        }
        let name = joined_key(self.key.iter().map(|part| part.as_deref().unwrap_or_default()));
        DeviceId::parse(&name).map_err(|error| DecodeError::InvalidField {
            field: field(0),
            reason: error.to_string(),
            fix: KEY_FIX,
        })
    }

    fn explain(self, decoder: &Decoder, text: &str, error: &serde_json::Error) -> DecodeError {
        if let Some(problem) = self.problem {
            return problem;
        }
        match (self.current, error.classify()) {
            // NaN, Infinity and 1e999 are no JSON, but whoever sent them wants to hear of the field.
            (Some(index), Category::Syntax | Category::Data) => {
                let Field { name, role } = &decoder.fields[index];
                let (reason, fix) = (error.to_string(), decoder.roles[*role].fix(&decoder.time));
                DecodeError::InvalidField { field: name.clone(), reason, fix }
            }
            (None, Category::Data) => DecodeError::NotAnObject { found: kind_of_value(text) },
            _ => DecodeError::NotJson { reason: error.to_string() },
        }
    }
}

/// What a JSON text is, if it is no object. serde's own words would repeat the whole of a text.
fn kind_of_value(text: &str) -> &'static str {
    match text.trim_start().bytes().next() {
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

impl Role {
    const fn fix(self, time: &TimeReader) -> &'static str {
        match self {
            Self::Key { .. } => KEY_FIX,
            Self::Time => time.fix(),
            Self::Measure(_) => MEASURE_FIX,
            Self::Tag(_) => TAG_FIX,
        }
    }
}

struct ObjectSeed<'a> {
    decoder: &'a Decoder,
    draft: &'a mut Draft,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fields = &self.decoder.fields;
        let mut hint = 0;
        while let Some(found) = map.next_key_seed(NameSeed { fields, hint })? {
            let Some(index) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            hint = index + 1;
            if std::mem::replace(&mut self.draft.seen[fields[index].role], true) {
                let field = fields[index].name.clone();
                self.draft.problem = Some(DecodeError::RepeatedField { field });
                return Err(de::Error::custom("repeated"));
            }
            self.draft.current = Some(index);
            map.next_value_seed(ValueSeed { decoder: self.decoder, draft: self.draft, index })?;
            self.draft.current = None;
        }
        Ok(())
    }
}

/// Finds a field by name. Producers keep the order of their fields, so the search begins after the last one found.
struct NameSeed<'a> {
    fields: &'a [Field],
    hint: usize,
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let at = |field: &Field| *field.name == *name;
        let (before, after) = self.fields.split_at(self.hint.min(self.fields.len()));
        Ok(after.iter().position(at).map(|i| i + before.len()).or_else(|| before.iter().position(at)))
    }
}

/// Puts one value into its place.
struct ValueSeed<'a> {
    decoder: &'a Decoder,
    draft: &'a mut Draft,
    index: usize,
}

impl ValueSeed<'_> {
    fn role(&self) -> Role {
        self.decoder.roles[self.decoder.fields[self.index].role]
    }

    fn refuse<E: de::Error>(self, reason: impl Into<String>) -> Result<(), E> {
        let fix = self.role().fix(&self.decoder.time);
        self.refuse_with((reason.into(), fix))
    }

    fn refuse_with<E: de::Error>(self, (reason, fix): TimeProblem) -> Result<(), E> {
        let field = self.decoder.fields[self.index].name.clone();
        self.draft.problem = Some(DecodeError::InvalidField { field, reason, fix });
        Err(E::custom("refused"))
    }

    fn time<E: de::Error>(self, read: Result<DateTime<Utc>, TimeProblem>) -> Result<(), E> {
        match read {
            Ok(instant) => {
                self.draft.event_time = Some(instant);
                Ok(())
            }
            Err(problem) => self.refuse_with(problem),
        }
    }

    fn text<E: de::Error>(self, text: &str) -> Result<(), E> {
        match self.role() {
            Role::Key { part, tag } if self.decoder.key_parts > 1 => {
                if text.is_empty() {
                    return self.refuse("it is empty");
                }
                if let Some(tag) = tag {
                    self.draft.tags[tag] = Some(text.into());
                }
                self.draft.key[part] = Some(text.into());
                Ok(())
            }
            Role::Key { .. } => match DeviceId::parse(text) {
                Ok(device) => {
                    self.draft.device = Some(device);
                    Ok(())
                }
                Err(error) => self.refuse(error.to_string()),
            },
            Role::Time => {
                let read = self.decoder.time.text(text);
                self.time(read)
            }
            Role::Measure(_) => self.refuse("it is a text, not a number"),
            Role::Tag(tag) => {
                if !is_short_and_printable(text, MAX_TAG_CHARS) {
                    return self.refuse("it is too long or has control characters");
                }
                self.draft.tags[tag] = Some(text.into());
                Ok(())
            }
        }
    }

    fn measure<E: de::Error>(self, measure: usize, number: f64) -> Result<(), E> {
        if number.abs() > MAX_MAGNITUDE {
            return self.refuse(format!("{number:e} is beyond {MAX_MAGNITUDE:e}, which no meter measures"));
        }
        self.draft.measures[measure] = Some(number);
        Ok(())
    }

    fn whole_number<E: de::Error>(self, number: i64) -> Result<(), E> {
        match self.role() {
            Role::Measure(measure) => self.measure(measure, number as f64),
            Role::Key { .. } | Role::Tag(_) => self.text(&number.to_string()),
            Role::Time => {
                let read = self.decoder.time.whole_number(number);
                self.time(read)
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the field")
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<(), E> {
        // -0.0 becomes 0.0: which of the two is a window's least value would hang on the order of its readings.
        let number = number + 0.0;
        match self.role() {
            _ if !number.is_finite() => self.refuse("the number is not finite"),
            Role::Measure(measure) => self.measure(measure, number),
            Role::Tag(_) => self.text(&number.to_string()),
            Role::Time => {
                let read = self.decoder.time.fraction(number);
                self.time(read)
            }
            // Some producers know no other number than the float.
            Role::Key { .. } if number.fract() == 0.0 && number.abs() <= EXACT_INTEGERS => {
                self.whole_number(number as i64)
            }
            Role::Key { .. } => self.refuse(format!("{number:?} is not a whole number")),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        self.whole_number(number)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        match (i64::try_from(number), self.role()) {
            (Ok(number), _) => self.whole_number(number),
            (Err(_), Role::Key { .. } | Role::Tag(_)) => self.text(&number.to_string()),
            (Err(_), _) => self.visit_f64(number as f64),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.text(text)
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        match self.role() {
            Role::Key { .. } | Role::Time => self.refuse("it is null"),
            Role::Measure(_) | Role::Tag(_) => Ok(()),
        }
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        match self.role() {
            Role::Tag(_) => self.text(if value { "true" } else { "false" }),
            _ => self.refuse("it is true or false"),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.refuse("it is a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.refuse("it is an object")
    }
}
