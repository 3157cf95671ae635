//! Counts and quotations in sentences for people.

/// Digits in groups of three: `2,075,259`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count and its noun, which takes an s unless there is exactly one: `1 device`, `0 devices`, `1,440 readings`.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// Characters of a foreign text that a reason quotes.
const QUOTED_CHARS: usize = 60;

/// The beginning of a text from outside, as a reason may quote it: a reason stays one short line, and Postgres takes no
/// text with a NUL in it.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let mut quoted = String::new();
    for character in text.chars().take(QUOTED_CHARS) {
        if character.is_control() {
            quoted.extend(character.escape_default());
        } else {
            quoted.push(character);
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!([0, 999, 1_000, 260_640, 2_075_259].map(grouped), ["0", "999", "1,000", "260,640", "2,075,259"]);
    }

    #[test]
    fn only_one_is_singular() {
        assert_eq!([0, 1, 1_440].map(|n| counted(n, "reading")), ["0 readings", "1 reading", "1,440 readings"]);
    }

    #[test]
    fn an_excerpt_is_short_and_has_no_control_characters() {
        assert_eq!(excerpt("a\u{0}b\nc \u{e9}"), "a\\u{0}b\\nc \u{e9}");
        assert_eq!(excerpt(&"x".repeat(1000)).len(), QUOTED_CHARS);
    }
}
