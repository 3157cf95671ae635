//! Mean and standard deviation of the last values, kept while values come and go: what every rolling kernel stands on.

use serde::{Deserialize, Serialize};

/// The last values of a measure with their shifted sums.
///
/// Sums of `x - shift` and its square are updated as values enter and leave. Each time the window has been replaced
/// once, or a value that made up most of the deviation has left, shift and sums are computed anew from the values, so
/// rounding errors neither pile up nor outlast an outlier. Both depend on the values alone, so a fold that is cut and
/// resumed anywhere has the same bits.
/// Source of the shift: Chan, Golub and LeVeque (1983), "Algorithms for Computing the Sample Variance".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RollingMoments {
    /// A ring once it is full; `next` is then the oldest value.
    values: Vec<f64>,
    next: u32,
    shift: f64,
    sum: f64,
    sum_squares: f64,
}

impl RollingMoments {
    pub(super) const fn len(&self) -> usize {
        self.values.len()
    }

    /// The mean; `None` of no value or where it overflows.
    pub(super) fn mean(&self) -> Option<f64> {
        let mean = self.shift + self.sum / self.values.len() as f64;
        mean.is_finite().then_some(mean)
    }

    /// Mean and sample standard deviation; `None` of fewer than two values or where they overflow.
    pub(super) fn mean_and_sd(&self) -> Option<(f64, f64)> {
        if self.values.len() < 2 {
            return None;
        }
        let count = self.values.len() as f64;
        let variance = self.squared_deviations() / (count - 1.0);
        let (mean, sd) = (self.shift + self.sum / count, variance.max(0.0).sqrt());
        (mean.is_finite() && variance.is_finite()).then_some((mean, sd))
    }

    /// Takes a value; the oldest one leaves a window of `capacity` values, at least 1.
    pub(super) fn push(&mut self, value: f64, capacity: usize) {
        if self.values.is_empty() {
            self.shift = value;
        }
        let mut outlier_left = false;
        if self.values.len() < capacity {
            self.values.push(value);
            self.add(value, 1.0);
        } else {
            let at = self.next as usize;
            let before = self.squared_deviations();
            let oldest = std::mem::replace(&mut self.values[at], value);
            self.add(oldest, -1.0);
            self.add(value, 1.0);
            self.next = if at + 1 == capacity { 0 } else { self.next + 1 };
            outlier_left = self.squared_deviations() < before / 2.0;
        }
        // Sums that overflowed would stay infinite after the value that did it has left.
        if outlier_left || (self.next == 0 && self.values.len() == capacity) || !self.sum_squares.is_finite() {
            self.recompute();
        }
    }

    /// The sum of the squared distances from the mean.
    fn squared_deviations(&self) -> f64 {
        self.sum_squares - self.sum * self.sum / self.values.len() as f64
    }

    fn add(&mut self, value: f64, sign: f64) {
        let shifted = value - self.shift;
        self.sum += sign * shifted;
        self.sum_squares += sign * (shifted * shifted);
    }

    fn recompute(&mut self) {
        let count = self.values.len() as f64;
        // Dividing first cannot overflow where the mean itself does not.
        self.shift = self.values.iter().map(|value| value / count).sum();
        (self.sum, self.sum_squares) = (0.0, 0.0);
        for value in &self.values {
            let shifted = value - self.shift;
            self.sum += shifted;
            self.sum_squares += shifted * shifted;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(values: &[f64]) -> (f64, f64) {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
        (mean, (squares / (count - 1.0)).sqrt())
    }

    proptest! {
        #[test]
        fn rolling_moments_equal_two_passes_over_the_window(
            values in prop::collection::vec(-1.0..1.0_f64, 2..400),
            base in prop::sample::select(vec![0.0, 240.0, 1e6, -1e9]),
            capacity in 2_usize..60,
        ) {
            let mut moments = RollingMoments::default();
            for (i, value) in values.iter().enumerate() {
                moments.push(base + value, capacity);
                if i == 0 { continue; }
                let window: Vec<f64> = values[(i + 1).saturating_sub(capacity)..=i].iter().map(|v| base + v).collect();
                let (mean, sd) = moments.mean_and_sd().unwrap();
                let (exact_mean, exact_sd) = naive(&window);
                prop_assert!((mean - exact_mean).abs() <= 1e-12 * base.abs().max(1.0), "{mean} {exact_mean}");
                prop_assert!((sd - exact_sd).abs() <= 1e-6, "{sd} {exact_sd}");
            }
        }
    }

    #[test]
    fn an_outlier_is_forgotten_with_the_reading_that_it_came_in() {
        let usual = |i: u32| 0.3 + f64::from(i % 7) / 100.0;
        for outlier in [65_535.0, 2_147_483_647.0, 4_294_967_295.0, 1e18, -1e18] {
            // First, so that it is the shift, and in the middle, so that it is in the sums.
            for place in [0, 100] {
                let mut moments = RollingMoments::default();
                for i in 0..480 {
                    moments.push(if i == place { outlier } else { usual(i) }, 240);
                    if i < place + 240 {
                        continue;
                    }
                    let window: Vec<f64> = (i - 239..=i).map(usual).collect();
                    let ((mean, sd), (exact_mean, exact_sd)) = (moments.mean_and_sd().unwrap(), naive(&window));
                    assert!((mean - exact_mean).abs() < 1e-9, "{outlier} at {place}: {mean} {exact_mean}");
                    assert!((sd - exact_sd).abs() < 1e-9, "{outlier} at {place}: {sd} {exact_sd}");
                }
            }
        }
    }

    #[test]
    fn an_overflow_ends_when_its_value_has_left() {
        let mut moments = RollingMoments::default();
        moments.push(1e300, 3);
        moments.push(1.0, 3);
        assert_eq!(moments.mean_and_sd(), None);
        for value in [1.0, 2.0, 3.0] {
            moments.push(value, 3);
        }
        let (mean, sd) = moments.mean_and_sd().unwrap();
        assert!((mean - 2.0).abs() < 1e-12 && (sd - 1.0).abs() < 1e-12, "{mean} {sd}");
    }
}
