//! The rule: comparisons of measures, or of features of them, with fixed values.

use serde::{Deserialize, Serialize};

use crate::{
    anomaly::Severity,
    detect::features::{MAX_FEATURES, parse},
    stream::StreamProfile,
};

/// Configuration: exactly one of `any` and `all`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdConfig {
    /// Alarms if at least one of these holds.
    #[serde(default)]
    pub any: Vec<Comparison>,
    /// Alarms if each of these holds.
    #[serde(default)]
    pub all: Vec<Comparison>,
    /// How urgent an alarm is. Default `warning`.
    #[serde(default = "warning")]
    pub severity: Severity,
}

const fn warning() -> Severity {
    Severity::Warning
}

/// A measure, or a feature of one, against a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The measure, or a feature in the language of [`crate::detect::features`].
    pub measure: String,
    /// How it is compared: `>`, `>=`, `<` or `<=`.
    pub op: Operator,
    /// With what, in its unit.
    pub value: f64,
}

/// How a measure is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// Greater.
    #[serde(rename = ">")]
    Above,
    /// Greater or equal.
    #[serde(rename = ">=")]
    AtLeast,
    /// Less.
    #[serde(rename = "<")]
    Below,
    /// Less or equal.
    #[serde(rename = "<=")]
    AtMost,
}

impl Operator {
    /// Whether `observed` is to `value` as the operator says.
    #[must_use]
    pub fn holds(self, observed: f64, value: f64) -> bool {
        match self {
            Self::Above => observed > value,
            Self::AtLeast => observed >= value,
            Self::Below => observed < value,
            Self::AtMost => observed <= value,
        }
    }

    /// What it looks like.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        }
    }

    /// Whether it alarms on large values.
    #[must_use]
    pub const fn looks_up(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast)
    }
}

impl ThresholdConfig {
    /// What is wrong with the configuration under this profile: key, value, fix.
    #[must_use]
    pub fn problems(&self, profile: &StreamProfile) -> Vec<String> {
        let mut problems = Vec::new();
        if self.any.is_empty() == self.all.is_empty() {
            problems.push("any and all: write exactly one of them, with at least one comparison".to_owned());
        }
        let count = self.any.len() + self.all.len();
        if count > MAX_FEATURES {
            problems.push(format!(
                "any and all: {count} comparisons; at most {MAX_FEATURES}, a longer rule is several detectors"
            ));
        }
        let mut looks_at_a_measure = count == 0;
        for Comparison { measure, value, .. } in self.comparisons() {
            match parse(measure, profile) {
                Ok(feature) => looks_at_a_measure |= feature.measure().is_some(),
                Err(problem) => {
                    looks_at_a_measure = true;
                    problems.push(format!("measure = \"{measure}\": {problem}"));
                }
            }
            if !value.is_finite() {
                problems.push(format!("value = {value} (of `{measure}`): must be finite"));
            }
        }
        if !looks_at_a_measure {
            problems.push(
                "any and all: none of the comparisons looks at a measure; name at least one that does".to_owned(),
            );
        }
        problems
    }

    /// The comparisons, whether one or each of them has to hold.
    pub(in crate::detect) fn comparisons(&self) -> impl Iterator<Item = &Comparison> {
        self.any.iter().chain(&self.all)
    }
}
