//! Providers that keep the origin of each value in words: the variable's full name, the file, the flag.

use std::collections::BTreeMap;

use figment::{
    Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};

const PREFIX: &str = "KILOWATCH_";
/// All settings below it are texts as they are written: `"x"` elsewhere is x, and a password is what it is.
const PLAIN_TEXT: [&str; 2] = ["log", "security"];

/// Variables of kilowatch, from a map; `__` separates the levels of a key.
pub struct Variables<'a> {
    environment: &'a BTreeMap<String, String>,
    defaults: Dict,
}

impl<'a> Variables<'a> {
    /// Takes the whole environment and uses what carries the prefix. The defaults tell where a text is asked for: a folder
    /// may be called 2026, and a group true.
    pub const fn new(environment: &'a BTreeMap<String, String>, defaults: Dict) -> Self {
        Self { environment, defaults }
    }

    fn value(&self, keys: &[String], text: &str) -> Value {
        if keys.starts_with(&PLAIN_TEXT.map(str::to_owned)) {
            return Value::from(text);
        }
        let Ok(value) = text.parse::<Value>();
        let is_scalar = matches!(value, Value::Num(..) | Value::Bool(..) | Value::Char(..));
        if is_scalar && self.asks_for_text(keys) { Value::from(text) } else { value }
    }

    /// By its default: a text, or none, as of an address.
    fn asks_for_text(&self, keys: &[String]) -> bool {
        let Some((last, levels)) = keys.split_last() else { return false };
        let level = levels.iter().try_fold(&self.defaults, |level, key| level.get(key)?.as_dict());
        level
            .and_then(|level| level.get(last))
            .is_some_and(|value| matches!(value, Value::String(..) | Value::Empty(..)))
    }
}

impl Provider for Variables<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named("variable").interpolater(|_, keys| format!("{PREFIX}{}", keys.join("__").to_ascii_uppercase()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut dict = Dict::new();
        for (name, text) in self.environment {
            let Some(path) = name.strip_prefix(PREFIX) else { continue };
            let keys: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
            let value = self.value(&keys, text);
            insert(&mut dict, &keys, value);
        }
        Ok(Profile::Default.collect(dict))
    }
}

fn insert(dict: &mut Dict, keys: &[String], value: Value) {
    match keys {
        [] => {}
        [last] => {
            dict.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let entry = dict.entry(first.clone()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = entry {
                insert(inner, rest, value);
            }
        }
    }
}

/// Another provider under a name of ours.
pub struct Named<P> {
    name: String,
    inner: P,
}

impl<P: Provider> Named<P> {
    /// Names the provider.
    pub const fn new(name: String, inner: P) -> Self {
        Self { name, inner }
    }
}

impl<P: Provider> Provider for Named<P> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone()).interpolater(|_, keys| keys.join("."))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        self.inner.data()
    }
}
