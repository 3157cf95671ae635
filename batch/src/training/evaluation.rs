//! A model's worth beside the methods that it has to beat, on the same held-out rows.

use std::collections::BTreeMap;

use kilowatch_shared::model::RegressionMetrics;

use super::metrics::regression_metrics;

/// What a simple method achieves on the held-out rows of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// Its name.
    pub name: &'static str,
    /// Its errors.
    pub metrics: RegressionMetrics,
    /// Whether a model that does not beat it must not serve. A formula of physics is told for comparison only.
    pub is_floor: bool,
}

/// Errors on held-out rows, all later than the training rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The model's errors.
    pub metrics: RegressionMetrics,
    /// The errors of simple methods on the same rows.
    pub baselines: Vec<Baseline>,
}

impl Evaluation {
    /// Compares the model's predictions, and those of simple methods as (name, is a floor, predictions), with what was
    /// observed. `None` of no row.
    #[must_use]
    pub fn of(observed: &[f64], predicted: &[f64], methods: &[(&'static str, bool, Vec<f64>)]) -> Option<Self> {
        let baseline = |(name, is_floor, said): &(&'static str, bool, Vec<f64>)| {
            Some(Baseline { name, is_floor: *is_floor, metrics: regression_metrics(observed, said)? })
        };
        Some(Self {
            metrics: regression_metrics(observed, predicted)?,
            baselines: methods.iter().map(baseline).collect::<Option<_>>()?,
        })
    }

    /// The best of the methods that the model does not beat but has to, by RMSE.
    #[must_use]
    pub fn beaten_by(&self) -> Option<&Baseline> {
        self.baselines
            .iter()
            .filter(|baseline| baseline.is_floor && baseline.metrics.rmse <= self.metrics.rmse)
            .min_by(|a, b| a.metrics.rmse.total_cmp(&b.metrics.rmse))
    }

    /// The baselines' errors by name, for the manifest.
    #[must_use]
    pub fn baselines_by_name(&self) -> BTreeMap<String, RegressionMetrics> {
        self.baselines.iter().map(|baseline| (baseline.name.to_owned(), baseline.metrics)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_to_beat_the_floors_and_no_formula() {
        let observed = [1.0, 2.0];
        let evaluation = |predicted: [f64; 2]| {
            let methods = [("mean", true, vec![1.5; 2]), ("formula", false, observed.to_vec())];
            Evaluation::of(&observed, &predicted, &methods).unwrap()
        };
        assert_eq!(evaluation([1.1, 2.0]).beaten_by(), None);
        assert_eq!(evaluation([5.0, 5.0]).beaten_by().map(|baseline| baseline.name), Some("mean"));
        assert_eq!(evaluation([1.5, 1.5]).beaten_by().map(|baseline| baseline.name), Some("mean"));
        assert_eq!(evaluation([1.5, 1.5]).baselines_by_name()["formula"].rmse, 0.0);
    }
}
