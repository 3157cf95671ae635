//! Answers: JSON for programs, lines for people.

use std::io::Write as _;

use anyhow::Context as _;
use serde::Serialize;

/// Prints `value` as JSON where `json` is set, else the lines that `text` makes of it.
///
/// # Errors
/// Standard output is closed.
pub fn answer<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
    let rendered = if json { serde_json::to_string_pretty(value)? } else { text(value) };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{rendered}").context("writing to standard output")
}

/// Digits in groups of three, for people.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(260_640), "260,640");
        assert_eq!(grouped(1_000), "1,000");
    }
}
