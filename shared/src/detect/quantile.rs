//! Quantiles of sorted values.

/// The quantile of ascending values, by linear interpolation; 0 of none.
pub(super) fn quantile(sorted: &[f64], level: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = level * last as f64;
    let below = place.floor() as usize;
    let (low, high) = (sorted[below.min(last)], sorted[(below + 1).min(last)]);
    let share = place - place.floor();
    // Not low + (high - low) * share, whose difference may overflow.
    low * (1.0 - share) + high * share
}
