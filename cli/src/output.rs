//! Answers: JSON for programs, lines for people.

use std::io::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
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

/// Columns side by side, each as wide as its widest text; numbers to the right are the caller's to pad.
pub fn aligned<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = titles.map(|title| title.chars().count());
    for row in rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let line = |row: [&str; N]| {
        let cells = row.iter().zip(widths).map(|(text, width)| format!("{text:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let body = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
    std::iter::once(line(titles)).chain(body).collect::<Vec<_>>().join("\n")
}

/// An instant, to the second where it is a whole one.
pub fn instant(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A value, or what stands for one that nobody knows.
pub fn known(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_their_titles() {
        let rows = [["a".to_owned(), "12".to_owned()], ["bücher".to_owned(), String::new()]];
        assert_eq!(aligned(["name", "n"], &rows), "name    n\na       12\nbücher");
    }
}
