//! Partials: what every zoom level of a chart is summed from.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::position::DeviceId;

/// Difference that sums of the same values may have, relative to what the values add up to without their signs.
const SUM_TOLERANCE: f64 = 1e-9;

/// Count, sum, extremes and sum of squares of the values that a window holds. Missing values are in none of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    /// How many values.
    pub count: u64,
    /// Their sum, in the measure's unit.
    pub sum: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The sum of their squares.
    pub sum_squares: f64,
}

impl Partial {
    /// The partial of no value at all: the neutral element of [`Partial::merge`].
    pub const EMPTY: Self = Self { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, sum_squares: 0.0 };

    /// The partial of one value.
    #[must_use]
    pub const fn of(value: f64) -> Self {
        Self { count: 1, sum: value, min: value, max: value, sum_squares: value * value }
    }

    /// Adds the values of `other`.
    pub const fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum_squares += other.sum_squares;
    }

    /// Whether both hold the same values: counts and extremes equal, sums up to the last digits, in which sums of the same
    /// values in another order differ. `batch/src/diff/hours.sql` says the same in SQL.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a window holds far fewer than 2^53 values")]
    pub fn is_close_to(&self, other: &Self) -> bool {
        let near = |a: f64, b: f64, scale: f64| (a - b).abs() <= SUM_TOLERANCE * scale;
        let squares = self.sum_squares.max(other.sum_squares);
        // Values of both signs may add up to nothing, and their rounding does not. Their absolute values add up to this at
        // most (Cauchy-Schwarz).
        let absolute = (self.count as f64).sqrt() * squares.sqrt();
        self.count == other.count
            && self.min == other.min
            && self.max == other.max
            && near(self.sum, other.sum, absolute)
            && near(self.sum_squares, other.sum_squares, squares)
    }

    /// The mean, or `None` of no value.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a window holds far fewer than 2^53 values")]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// One stored window of one measure of one device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RollupKey {
    /// The device.
    pub device: DeviceId,
    /// Length of the window in seconds.
    pub window_secs: u32,
    /// Start of the window, UTC.
    pub window_start: DateTime<Utc>,
    /// Name of the measure in the profile.
    pub measure: String,
    /// Values of the profile's roll-up tags joined by `/`; empty where it has none.
    pub group: String,
}

/// A window and what it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RollupRow {
    /// Which window.
    pub key: RollupKey,
    /// Its values.
    pub partial: Partial,
}

/// Start of the window that holds `instant`; windows are aligned to the Unix epoch in UTC.
#[must_use]
pub fn window_start(instant: DateTime<Utc>, window_secs: u32) -> DateTime<Utc> {
    instant.duration_trunc(TimeDelta::seconds(i64::from(window_secs.max(1)))).unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partials_are_the_same_up_to_the_last_digits_of_their_sums_alone() {
        let partial = Partial { count: 2, sum: 3.0, min: 1.0, max: 2.0, sum_squares: 5.0 };
        assert!(partial.is_close_to(&Partial { sum: 3.0 + 1e-12, ..partial }));
        assert!(!partial.is_close_to(&Partial { sum: 3.0 + 1e-6, ..partial }));
        assert!(!partial.is_close_to(&Partial { max: 2.0 + 1e-12, ..partial }));
        assert!(!partial.is_close_to(&Partial { count: 3, ..partial }));
    }

    #[test]
    fn values_that_cancel_out_are_the_same_in_any_order() {
        let of = |values: [f64; 4]| {
            let mut sum = Partial::EMPTY;
            values.into_iter().for_each(|value| sum.merge(&Partial::of(value)));
            sum
        };
        let (one, other) = (of([0.1, 1e6, -1e6, -0.1]), of([1e6, 0.1, -0.1, -1e6]));
        assert!((one.sum - other.sum).abs() > 0.0, "rounding differs: {} and {}", one.sum, other.sum);
        assert!(one.is_close_to(&other));
        assert!(!one.is_close_to(&Partial { sum: one.sum + 0.01, ..one }));
    }
}
