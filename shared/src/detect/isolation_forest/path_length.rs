//! Path lengths and the score that they stand for.

use std::f64::consts::LN_2;

/// `c(n)`: the mean path length of an unsuccessful search in a binary search tree of `n` values, by which path lengths
/// of different samples are compared; 0 of fewer than two values. Equation 1 of Liu, Ting and Zhou (2008).
pub(super) fn average(count: u32) -> f64 {
    if count < 2 {
        return 0.0;
    }
    let n = f64::from(count);
    2.0 * harmonic(count - 1) - 2.0 * (n - 1.0) / n
}

/// The harmonic number, summed: samples are small, and the usual `ln n + 0.577` is off by 0.002 at 256.
fn harmonic(count: u32) -> f64 {
    (1..=count).map(|i| 1.0 / f64::from(i)).sum()
}

/// `2^(-path / average)`: near 1 for what a few cuts isolate, below 0.5 for what is like the rest. Equation 2.
pub(super) fn score(path: f64, average: f64) -> f64 {
    exp2_of_minus((path / average).clamp(0.0, 64.0))
}

/// `2^(-x)` for `x` in 0 to 64, from additions and products alone: the platform's `exp2` may differ in the last bit,
/// and scores have to be equal on every machine.
fn exp2_of_minus(x: f64) -> f64 {
    let whole = x.floor();
    let exponent = (x - whole) * LN_2;
    let (mut term, mut sum) = (1.0, 1.0);
    // (ln 2)^20 / 20! is below 1e-21, far under the last bit of the sum.
    for k in 1..=20_u32 {
        term *= -exponent / f64::from(k);
        sum += term;
    }
    (0..whole as u32).fold(sum, |value, _| value * 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_path_is_that_of_the_paper() {
        assert_eq!(average(1), 0.0);
        assert_eq!(average(2), 1.0);
        assert_eq!(average(3), 2.0 * 1.5 - 4.0 / 3.0);
        assert!((average(256) - 10.244).abs() < 0.01, "the paper's c(256), with its approximate harmonic number");
    }

    #[test]
    fn two_to_the_minus_x_equals_the_library_to_the_last_digits() {
        for step in 0..=640 {
            let x = f64::from(step) / 10.0;
            let (own, library) = (exp2_of_minus(x), (-x).exp2());
            assert!((own - library).abs() <= 4.0 * f64::EPSILON * library, "{x}: {own} {library}");
        }
    }
}
