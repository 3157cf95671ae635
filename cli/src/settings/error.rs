//! Errors of the configuration, for a reader without the source code.

use figment::error::{Actual, Kind};

use super::show::names_a_secret;

/// What is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A value or key that cannot be read.
    #[error("{}", problems.join("\n"))]
    Unreadable {
        /// One line a problem: key, what was found, the fix, the source.
        problems: Vec<String>,
    },
    /// Readable values that do not hold together.
    #[error("{}", problems.join("\n"))]
    Contradictory {
        /// One line a problem: key, value, fix.
        problems: Vec<String>,
    },
}

impl From<figment::Error> for SettingsError {
    fn from(errors: figment::Error) -> Self {
        Self::Unreadable { problems: errors.into_iter().map(|error| describe(&error)).collect() }
    }
}

fn describe(error: &figment::Error) -> String {
    let mut path = error.path.clone();
    if let Kind::UnknownField(field, _) = &error.kind
        && path.last() != Some(field)
    {
        path.push(field.clone());
    }
    let origin = error.metadata.as_ref().map_or_else(String::new, |metadata| {
        if metadata.name == "variable" {
            format!(" (variable {})", metadata.interpolate(&figment::Profile::Default, &path))
        } else {
            format!(" ({})", metadata.name)
        }
    });
    let key = path.join(".");
    let problem = match &error.kind {
        Kind::UnknownField(field, expected) => match closest(field, expected) {
            Some(meant) => format!("unknown key {key}: did you mean `{meant}`?"),
            None => format!("unknown key {key}: use one of {}", expected.join(", ")),
        },
        Kind::Message(text) if key.is_empty() => text.clone(),
        // What was found may be the secret.
        _ if names_a_secret(&key) => format!("{key}: must be a text, in quotes"),
        Kind::InvalidType(found, expected) if expected.contains("string") => match number_or_bool(found) {
            Some(found) => format!("{key} = {found}: must be a text; write it in quotes"),
            None => format!("{key}: found {found}, where a text must be"),
        },
        kind => format!("{key}: {kind}"),
    };
    format!("{problem}{origin}")
}

fn number_or_bool(found: &Actual) -> Option<String> {
    match found {
        Actual::Bool(value) => Some(value.to_string()),
        Actual::Unsigned(value) => Some(value.to_string()),
        Actual::Signed(value) => Some(value.to_string()),
        Actual::Float(value) => Some(value.to_string()),
        _ => None,
    }
}

fn closest<'a>(found: &str, expected: &'a [&'a str]) -> Option<&'a str> {
    expected
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(found, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len() / 3))
        .min()
        .map(|(_, candidate)| candidate)
}
