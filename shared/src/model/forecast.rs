//! The forecast of the hours ahead: features of the issue -> forest -> a value and the interval around it.

use serde::{Deserialize, Serialize};

use super::{calendar::LocalCalendar, forest::Forest};

/// How far outcomes lay from the forest's word, for a run of horizons.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HorizonInterval {
    /// The last horizon in hours that it is for; it begins after the one before.
    pub up_to_hours: u32,
    /// Quantile of outcome minus prediction at the lower end, in the target's unit.
    pub low: f64,
    /// The same at the upper end.
    pub high: f64,
}

/// What the model says of one hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PredictedHour {
    /// The expected mean of the hour, in the target's unit.
    pub value: f64,
    /// Lower end of the interval; never above `value`.
    pub low: f64,
    /// Upper end; never below it.
    pub high: f64,
}

/// A trained forecast. Which features there are, and how they come from a history, is batch's; the model names them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecastModel {
    /// The measure that is forecast.
    pub target: String,
    /// Local time of the history.
    pub calendar: LocalCalendar,
    /// Names of the features, in the forest's order.
    pub features: Vec<String>,
    /// What stands in for a missing feature: its median over the training rows.
    pub medians: Vec<f64>,
    /// Nominal coverage of the intervals.
    pub interval_level: f64,
    /// Intervals by horizon, ascending and never empty; beyond the last one the last one holds.
    pub intervals: Vec<HorizonInterval>,
    /// The least value that the target may take: 0 where training saw no value below it.
    pub floor: Option<f64>,
    /// The forest.
    pub forest: Forest,
}

impl ForecastModel {
    /// Whether the parts fit together.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let finite = |interval: &HorizonInterval| interval.low.is_finite() && interval.high.is_finite();
        self.features.len() == self.forest.features()
            && self.medians.len() == self.features.len()
            && self.medians.iter().all(|median| median.is_finite())
            && !self.intervals.is_empty()
            && self.intervals.iter().all(finite)
            && self.intervals.is_sorted_by(|a, b| a.up_to_hours < b.up_to_hours)
            && self.interval_level > 0.0
            && self.interval_level < 1.0
    }

    /// The forest's word, without an interval. `row` has one value per feature, in their order; a missing one is
    /// replaced by the median of the training.
    #[must_use]
    pub fn expect(&self, row: &[Option<f64>]) -> f64 {
        let filled: Vec<f32> = self
            .medians
            .iter()
            .enumerate()
            .map(|(at, median)| row.get(at).copied().flatten().unwrap_or(*median) as f32)
            .collect();
        self.forest.predict(&filled)
    }

    /// The prediction for one hour ahead.
    #[must_use]
    pub fn predict(&self, row: &[Option<f64>], horizon_hours: u32) -> PredictedHour {
        let floor = self.floor.unwrap_or(f64::NEG_INFINITY);
        let value = self.expect(row).max(floor);
        let group = self.intervals.iter().find(|group| horizon_hours <= group.up_to_hours);
        let (low, high) = group.or(self.intervals.last()).map_or((0.0, 0.0), |group| (group.low, group.high));
        PredictedHour { value, low: (value + low).max(floor).min(value), high: (value + high).max(value) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::TreeNode;

    /// 1 kW up to a lag of 2 kW, 5 kW over it.
    pub(in crate::model) fn one_lag() -> ForecastModel {
        let tree = vec![
            TreeNode::Split { feature: 0, threshold: 2.0, low: 1, high: 2 },
            TreeNode::Leaf(1.0),
            TreeNode::Leaf(5.0),
        ];
        ForecastModel {
            target: "active_power".to_owned(),
            calendar: LocalCalendar::new(0),
            features: vec!["lag".to_owned()],
            medians: vec![3.0],
            interval_level: 0.8,
            intervals: vec![
                HorizonInterval { up_to_hours: 6, low: -0.5, high: 0.5 },
                HorizonInterval { up_to_hours: 24, low: -2.0, high: 3.0 },
            ],
            floor: Some(0.0),
            forest: Forest::try_new(1, &[tree]).unwrap(),
        }
    }

    #[test]
    fn the_interval_is_the_one_of_the_horizon() {
        let model = one_lag();
        assert_eq!(model.predict(&[Some(4.0)], 6), PredictedHour { value: 5.0, low: 4.5, high: 5.5 });
        assert_eq!(model.predict(&[Some(4.0)], 7), PredictedHour { value: 5.0, low: 3.0, high: 8.0 });
        assert_eq!(model.predict(&[Some(4.0)], 48), PredictedHour { value: 5.0, low: 3.0, high: 8.0 });
    }

    #[test]
    fn an_interval_does_not_reach_below_the_floor() {
        assert_eq!(one_lag().predict(&[Some(1.0)], 24), PredictedHour { value: 1.0, low: 0.0, high: 4.0 });
    }

    #[test]
    fn a_missing_feature_is_its_median_and_not_zero() {
        assert_eq!(one_lag().expect(&[None]), 5.0);
        assert_eq!(one_lag().expect(&[]), 5.0);
        assert_eq!(one_lag().expect(&[Some(0.0)]), 1.0);
    }

    #[test]
    fn parts_that_do_not_fit_are_no_model() {
        assert!(one_lag().is_sound());
        assert!(!ForecastModel { medians: Vec::new(), ..one_lag() }.is_sound());
        assert!(!ForecastModel { intervals: Vec::new(), ..one_lag() }.is_sound());
        assert!(!ForecastModel { interval_level: 1.0, ..one_lag() }.is_sound());
    }
}
