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

/// Masks what could be a secret: by the key's name, and the password in a URL.
fn masked(key: &str, value: &str) -> String {
    const SECRET_WORDS: [&str; 4] = ["password", "secret", "token", "key"];
    if SECRET_WORDS.iter().any(|word| key.to_ascii_lowercase().contains(word)) {
        return "***".to_owned();
    }
    match url::Url::parse(value) {
        Ok(mut url) if url.password().is_some() => {
            if url.set_password(Some("***")).is_err() {
                return "***".to_owned();
            }
            url.to_string()
        }
        _ => value.to_owned(),
    }
}
