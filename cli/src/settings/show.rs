//! The effective configuration for a person: each value, where it came from, secrets masked.

use std::collections::BTreeMap;

use figment::{Figment, value::Value};
use serde::Serialize;

use super::{ConfigFile, Flags, SettingsError, sources};

/// One value of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownValue {
    /// Its key, levels joined by dots.
    pub key: String,
    /// The value, secrets masked.
    pub value: String,
    /// `default`, `file ...`, `variable ...` or `flag`.
    pub origin: String,
}

/// All values with their origin.
///
/// # Errors
/// A source that cannot be read.
pub fn shown_values(
    file: Option<ConfigFile<'_>>,
    environment: &BTreeMap<String, String>,
    flags: &Flags,
) -> Result<Vec<ShownValue>, SettingsError> {
    let figment = sources(file, environment, flags);
    let root: Value = figment.extract().map_err(SettingsError::from)?;
    let mut shown = Vec::new();
    collect(&figment, &mut Vec::new(), &root, &mut shown);
    Ok(shown)
}

fn collect(figment: &Figment, path: &mut Vec<String>, value: &Value, shown: &mut Vec<ShownValue>) {
    if let Value::Dict(_, dict) = value
        && (!dict.is_empty() || path.is_empty())
    {
        for (key, inner) in dict {
            path.push(key.clone());
            collect(figment, path, inner, shown);
            path.pop();
        }
        return;
    }
    let key = path.join(".");
    let origin = match figment.find_metadata(&key) {
        Some(metadata) if metadata.name == "variable" => {
            format!("variable {}", metadata.interpolate(&figment::Profile::Default, path))
        }
        Some(metadata) if metadata.name.starts_with("file ") || metadata.name == "flag" => metadata.name.to_string(),
        _ => "default".to_owned(),
    };
    shown.push(ShownValue { value: masked(&key, &text_of(value)), key, origin });
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(_, text) => text.clone(),
        Value::Empty(..) => "(unset)".to_owned(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

const MASK: &str = "***";

/// Masks what could be a secret: by the key's name, and inside a URL the password and parameters with such names.
fn masked(key: &str, value: &str) -> String {
    if names_a_secret(key) {
        return MASK.to_owned();
    }
    match value.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", masked_url(rest)),
        None => value.to_owned(),
    }
}

pub(super) fn names_a_secret(name: &str) -> bool {
    const SECRET_WORDS: [&str; 6] = ["password", "passwd", "secret", "token", "key", "jaas"];
    let name = name.to_ascii_lowercase();
    // The path of a key is none.
    !name.ends_with("_file") && SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// By hand, because several hosts (`kafka://a:1,b:2`) are no URL to the standard and must not slip through.
fn masked_url(rest: &str) -> String {
    // Up to the last @: a password may hold one, or a question mark, that nobody escaped.
    let (who, place) = rest.rsplit_once('@').map_or((None, rest), |(who, place)| (Some(who), place));
    let who =
        who.map(|who| who.split_once(':').map_or_else(|| format!("{who}@"), |(user, _)| format!("{user}:{MASK}@")));
    let place = match place.split_once('?') {
        Some((place, query)) => {
            let shown: Vec<String> = query.split('&').map(masked_parameter).collect();
            format!("{place}?{}", shown.join("&"))
        }
        None => place.to_owned(),
    };
    format!("{}{place}", who.unwrap_or_default())
}

fn masked_parameter(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) if names_a_secret(name) => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_to_write_a_password_shows_it() {
        for secret in [
            ("views.url", "postgres://me:hunter2@db/kilowatch"),
            ("views.url", "postgres://db/kilowatch?user=me&password=hunter2"),
            ("views.url", "postgres://me:p@ss/hunter2@db/kilowatch"),
            ("views.url", "postgres://me:what?hunter2@db/kilowatch"),
            ("log.url", "kafka://me:hunter2@a:9092,b:9092"),
            ("log.properties.sasl.password", "hunter2"),
            ("log.security.password", "hunter2"),
            ("log.security.client_key_password", "hunter2"),
            ("log.properties.sasl.jaas.config", "password=hunter2"),
        ] {
            let shown = masked(secret.0, secret.1);
            assert!(!shown.contains("hunter2") && shown.contains(MASK), "{shown}");
        }
        for plain in ["kilowatch-data", "kafka://a:9092,b:9092", "s3://bucket/prefix?region=eu", "postgres://me@db/k"] {
            assert_eq!(masked("lake.url", plain), plain);
        }
    }
}
