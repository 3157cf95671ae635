//! Answers: JSON for programs, lines for people.

use std::io::Write as _;

use serde::Serialize;

use crate::exit;

/// Prints `value` as JSON where `json` is set, else the lines that `text` makes of it.
///
/// # Errors
/// Standard output is closed.
pub fn answer<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
    let rendered = if json { serde_json::to_string_pretty(value)? } else { text(value) };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{rendered}").map_err(exit::writing)
}
