//! What predictions are worth.

use kilowatch_shared::model::RegressionMetrics;

/// RMSE, MAE and R2 of predictions, pair by pair with what was observed; `None` of no pair.
///
/// With error `e = observed - predicted`: RMSE is `sqrt(mean(e^2))`, MAE is `mean(|e|)`, R2 is
/// `1 - sum(e^2) / sum((observed - mean(observed))^2)`, where observed values that are all equal give 0, as a constant is
/// then as good as any model.
#[must_use]
pub fn regression_metrics(observed: &[f64], predicted: &[f64]) -> Option<RegressionMetrics> {
    let rows = observed.len().min(predicted.len());
    if rows == 0 {
        return None;
    }
    let pairs = || observed.iter().zip(predicted);
    let mean = observed[..rows].iter().sum::<f64>() / rows as f64;
    let squares: f64 = pairs().map(|(o, p)| (o - p).powi(2)).sum();
    let absolutes: f64 = pairs().map(|(o, p)| (o - p).abs()).sum();
    let around_mean: f64 = observed[..rows].iter().map(|o| (o - mean).powi(2)).sum();
    Some(RegressionMetrics {
        rmse: (squares / rows as f64).sqrt(),
        mae: absolutes / rows as f64,
        r2: if around_mean > 0.0 { 1.0 - squares / around_mean } else { 0.0 },
        rows: rows as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_are_the_ones_computed_by_hand() {
        // Errors 1, 0, -2, 1: squares 6, absolutes 4; around the mean 2.5: 2.25 + 0.25 + 0.25 + 2.25 = 5.
        let metrics = regression_metrics(&[1.0, 2.0, 3.0, 4.0], &[0.0, 2.0, 5.0, 3.0]).unwrap();
        assert_eq!(metrics.rmse, 1.5_f64.sqrt());
        assert_eq!(metrics.mae, 1.0);
        assert!((metrics.r2 - (1.0 - 6.0 / 5.0)).abs() < 1e-15);
        assert_eq!(metrics.rows, 4);
    }

    #[test]
    fn the_mean_explains_nothing_and_the_truth_everything() {
        let observed = [1.0, 2.0, 6.0];
        assert_eq!(regression_metrics(&observed, &[3.0; 3]).unwrap().r2, 0.0);
        assert_eq!(regression_metrics(&observed, &observed).unwrap().r2, 1.0);
        assert_eq!(regression_metrics(&[2.0, 2.0], &[2.0, 2.0]).unwrap().r2, 0.0);
    }

    #[test]
    fn no_row_has_no_metrics() {
        assert_eq!(regression_metrics(&[], &[]), None);
    }
}
