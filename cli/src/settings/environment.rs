//! Providers that keep the origin of each value in words: the variable's full name, the file, the flag.

use std::collections::BTreeMap;

use figment::{
    Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};

const PREFIX: &str = "KILOWATCH_";
/// All settings below it are texts. Elsewhere `1e5` is a number and `"x"` is x; a password is what it is.
const PLAIN_TEXT: [&str; 2] = ["log", "security"];

/// Variables of kilowatch, from a map; `__` separates the levels of a key.
pub struct Variables<'a> {
    environment: &'a BTreeMap<String, String>,
}

impl<'a> Variables<'a> {
    /// Takes the whole environment and uses what carries the prefix.
    pub const fn new(environment: &'a BTreeMap<String, String>) -> Self {
        Self { environment }
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
            let value = if keys.starts_with(&PLAIN_TEXT.map(str::to_owned)) {
                Value::from(text.clone())
            } else {
                match text.parse::<Value>() {
                    Ok(value) => value,
                    Err(never) => match never {},
                }
            };
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
