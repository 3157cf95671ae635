//! Numbers of a text file: plain decimals on a quick and exact path, everything else by the general parser.

/// 10^0 to 10^15, each exact in binary64.
const POWERS_OF_TEN: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Fifteen digits stay below 2^53, so the digits as an integer are exact and one division rounds correctly
/// (Clinger 1990, "How to Read Floating Point Numbers Accurately", fast path).
const MAX_EXACT_DIGITS: usize = 15;

/// Why a field is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotANumber {
    /// Not of a number's form.
    Malformed,
    /// NaN or infinite, or beyond what a double holds.
    NotFinite,
}

/// A number, or `None` for a missing one: an empty field or `?`.
pub(super) fn parse_number(field: &[u8]) -> Result<Option<f64>, NotANumber> {
    if let Some(value) = plain_decimal(field) {
        return Ok(Some(value));
    }
    let field = field.trim_ascii();
    if field.is_empty() || field == b"?" {
        return Ok(None);
    }
    match fast_float2::parse::<f64, _>(field) {
        Ok(value) if value.is_finite() => Ok(Some(value)),
        Ok(_) => Err(NotANumber::NotFinite),
        Err(_) => Err(NotANumber::Malformed),
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most 15 digits, which a double holds exactly")]
fn plain_decimal(field: &[u8]) -> Option<f64> {
    let (negative, digits) = match field {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, field),
    };
    if digits.len() > MAX_EXACT_DIGITS + 1 {
        return None;
    }
    let (mut mantissa, mut count, mut point) = (0_u64, 0_usize, None);
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + u64::from(byte - b'0');
                count += 1;
            }
            b'.' if point.is_none() => point = Some(count),
            _ => return None,
        }
    }
    if count == 0 || count > MAX_EXACT_DIGITS {
        return None;
    }
    let decimals = point.map_or(0, |before| count - before);
    let value = mantissa as f64 / POWERS_OF_TEN.get(decimals)?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_question_mark_and_an_empty_field_are_missing_and_zero_is_not() {
        assert_eq!(parse_number(b""), Ok(None));
        assert_eq!(parse_number(b" ? "), Ok(None));
        assert_eq!(parse_number(b"0.000"), Ok(Some(0.0)));
        assert_eq!(parse_number(b" 2.5 "), Ok(Some(2.5)));
    }

    #[test]
    fn what_is_no_finite_number_is_refused_by_its_kind() {
        for bad in ["1.2.3", "-", ".", "1,5", "abc", "12x", "--1", "??", "0x10"] {
            assert_eq!(parse_number(bad.as_bytes()), Err(NotANumber::Malformed), "{bad}");
        }
        for bad in ["NaN", "inf", "-Infinity", "1e999"] {
            assert_eq!(parse_number(bad.as_bytes()), Err(NotANumber::NotFinite), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_decimal_reads_as_the_nearest_double(whole in -99_999_999_i64..99_999_999, fraction in 0_u32..999_999, decimals in 0_usize..9) {
            let text = format!("{whole}.{fraction:0decimals$}");
            prop_assert_eq!(parse_number(text.as_bytes()), Ok(Some(text.parse::<f64>().unwrap())));
        }
    }
}
