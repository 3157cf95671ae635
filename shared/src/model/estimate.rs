//! The estimate: the target from the other measures at the same instant. The prediction form asks it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    calendar::{CALENDAR_FEATURES, LocalCalendar},
    forest::Forest,
};

/// A measure that the estimate takes, and what was seen of it in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputRange {
    /// Name of the measure.
    pub name: String,
    /// The least value of the training rows, in the measure's unit.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

/// Why an input gives no estimate, or one to be taken with care.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InputProblem {
    /// The model needs it.
    #[error("`{name}` is missing")]
    Missing {
        /// Which input.
        name: String,
    },
    /// Infinite, or no number.
    #[error("`{name}` is not a finite number")]
    NotFinite {
        /// Which input.
        name: String,
    },
    /// The model does not know it.
    #[error("`{name}` is not an input of this model")]
    Unknown {
        /// Which input.
        name: String,
    },
    /// A forest cannot extrapolate, so the estimate is the one for the nearest value that it saw.
    #[error("`{name}` = {value} lies outside of what the model was trained on ({min} to {max})")]
    OutOfRange {
        /// Which input.
        name: String,
        /// What was given.
        value: f64,
        /// The least value that the model saw.
        min: f64,
        /// The greatest.
        max: f64,
    },
}

/// A trained estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EstimateModel {
    target: String,
    inputs: Vec<InputRange>,
    calendar: LocalCalendar,
    forest: Forest,
}

impl EstimateModel {
    /// Puts a model together. The forest takes the inputs in their order, then hour, day of week and month; `None` if
    /// it has another number of features.
    #[must_use]
    pub fn new(target: String, inputs: Vec<InputRange>, calendar: LocalCalendar, forest: Forest) -> Option<Self> {
        let model = Self { target, inputs, calendar, forest };
        model.is_sound().then_some(model)
    }

    pub(super) fn is_sound(&self) -> bool {
        self.forest.features() == self.inputs.len() + CALENDAR_FEATURES.len()
    }

    /// The measure that is estimated.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The measures that it takes, with the ranges that it was trained on, in the order of the form.
    #[must_use]
    pub fn inputs(&self) -> &[InputRange] {
        &self.inputs
    }

    /// The forest.
    #[must_use]
    pub const fn forest(&self) -> &Forest {
        &self.forest
    }

    /// Everything that is wrong with the inputs, in the order of the form, unknown ones last.
    #[must_use]
    pub fn problems(&self, inputs: &BTreeMap<String, f64>) -> Vec<InputProblem> {
        let known = self.inputs.iter().filter_map(|range| {
            let name = || range.name.clone();
            match inputs.get(&range.name) {
                None => Some(InputProblem::Missing { name: name() }),
                Some(value) if !value.is_finite() => Some(InputProblem::NotFinite { name: name() }),
                Some(&value) if value < range.min || value > range.max => {
                    Some(InputProblem::OutOfRange { name: name(), value, min: range.min, max: range.max })
                }
                Some(_) => None,
            }
        });
        let unknown = inputs
            .keys()
            .filter(|name| self.inputs.iter().all(|range| range.name != **name))
            .map(|name| InputProblem::Unknown { name: name.clone() });
        known.chain(unknown).collect()
    }

    /// The target in its unit, from one value per input and the instant that they stand for. Values out of the range of
    /// the training are taken as they are.
    ///
    /// # Errors
    /// [`InputProblem::Missing`] or [`InputProblem::NotFinite`].
    pub fn predict(&self, inputs: &BTreeMap<String, f64>, at: DateTime<Utc>) -> Result<f64, InputProblem> {
        let mut row = Vec::with_capacity(self.forest.features());
        for range in &self.inputs {
            let value = *inputs.get(&range.name).ok_or_else(|| InputProblem::Missing { name: range.name.clone() })?;
            if !value.is_finite() {
                return Err(InputProblem::NotFinite { name: range.name.clone() });
            }
            row.push(value as f32);
        }
        row.extend(self.calendar.features(at).map(|value| value as f32));
        Ok(self.forest.predict(&row))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::TreeNode;

    /// 1 kW up to 240 V and 2 kW over it, twice that from 12 o'clock on.
    pub(in crate::model) fn two_inputs() -> EstimateModel {
        let tree = vec![
            TreeNode::Split { feature: 2, threshold: 11.5, low: 1, high: 4 },
            TreeNode::Split { feature: 0, threshold: 240.0, low: 2, high: 3 },
            TreeNode::Leaf(1.0),
            TreeNode::Leaf(2.0),
            TreeNode::Split { feature: 0, threshold: 240.0, low: 5, high: 6 },
            TreeNode::Leaf(2.0),
            TreeNode::Leaf(4.0),
        ];
        let range = |name: &str, min, max| InputRange { name: name.to_owned(), min, max };
        let inputs = vec![range("voltage", 220.0, 250.0), range("current", 0.0, 40.0)];
        let forest = Forest::try_new(5, &[tree]).unwrap();
        EstimateModel::new("active_power".to_owned(), inputs, LocalCalendar::new(60), forest).unwrap()
    }

    fn inputs(of: &[(&str, f64)]) -> BTreeMap<String, f64> {
        of.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn the_estimate_knows_inputs_by_name_and_hours_by_local_time() {
        let model = two_inputs();
        let given = inputs(&[("current", 5.0), ("voltage", 241.0)]);
        assert_eq!(model.predict(&given, "2007-01-01T10:59:00Z".parse().unwrap()), Ok(2.0));
        assert_eq!(model.predict(&given, "2007-01-01T11:00:00Z".parse().unwrap()), Ok(4.0));
    }

    #[test]
    fn all_problems_of_a_form_are_told_together() {
        let model = two_inputs();
        let problems = model.problems(&inputs(&[("voltage", 300.0), ("curent", 1.0)]));
        assert_eq!(
            problems,
            [
                InputProblem::OutOfRange { name: "voltage".to_owned(), value: 300.0, min: 220.0, max: 250.0 },
                InputProblem::Missing { name: "current".to_owned() },
                InputProblem::Unknown { name: "curent".to_owned() },
            ]
        );
        assert!(model.problems(&inputs(&[("voltage", 220.0), ("current", 40.0)])).is_empty());
    }

    #[test]
    fn a_missing_or_infinite_input_gives_no_estimate() {
        let (model, at) = (two_inputs(), DateTime::<Utc>::UNIX_EPOCH);
        assert_eq!(
            model.predict(&inputs(&[("voltage", 240.0)]), at),
            Err(InputProblem::Missing { name: "current".to_owned() })
        );
        assert_eq!(
            model.predict(&inputs(&[("voltage", f64::NAN), ("current", 1.0)]), at),
            Err(InputProblem::NotFinite { name: "voltage".to_owned() })
        );
    }

    #[test]
    fn a_forest_of_other_features_is_no_estimate() {
        let forest = Forest::try_new(2, &[vec![TreeNode::Leaf(0.0)]]).unwrap();
        assert!(EstimateModel::new("p".to_owned(), Vec::new(), LocalCalendar::new(0), forest).is_none());
    }
}
