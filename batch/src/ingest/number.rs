//! Numbers of a text file: plain decimals on a quick and exact path, everything else by the general parser.

use kilowatch_shared::reading::MAX_MAGNITUDE;

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
    /// NaN, infinite, or beyond [`MAX_MAGNITUDE`].
    OutOfRange,
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
        Ok(value) => measurable(value).map(Some).ok_or(NotANumber::OutOfRange),
        Err(_) => Err(NotANumber::Malformed),
    }
}

/// The value if a meter can have measured it; NaN is not in the range, and -0 is 0.
pub(super) fn measurable(value: f64) -> Option<f64> {
    (value.abs() <= MAX_MAGNITUDE).then_some(value + 0.0)
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
    Some(if negative { 0.0 - value } else { value })
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
        assert!(
            ["-0", "-0e0"]
                .iter()
                .all(|zero| matches!(parse_number(zero.as_bytes()), Ok(Some(v)) if v.is_sign_positive()))
        );
    }

    #[test]
    fn what_no_meter_measures_is_refused_by_its_kind() {
        for bad in ["1.2.3", "-", ".", "1,5", "abc", "12x", "--1", "??", "0x10"] {
            assert_eq!(parse_number(bad.as_bytes()), Err(NotANumber::Malformed), "{bad}");
        }
        for bad in ["NaN", "inf", "-Infinity", "1e999", "1e300", "-1.1e18"] {
            assert_eq!(parse_number(bad.as_bytes()), Err(NotANumber::OutOfRange), "{bad}");
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
