//! The rule: comparisons of measures with fixed values.

use serde::{Deserialize, Serialize};

use crate::{anomaly::Severity, stream::StreamProfile};

/// Most comparisons of a rule; a longer one is several detectors.
const MAX_COMPARISONS: usize = 32;

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

/// A measure against a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The measure.
    pub measure: String,
    /// How it is compared: `>`, `>=`, `<` or `<=`.
    pub op: Operator,
    /// With what, in the measure's unit.
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
        if count > MAX_COMPARISONS {
            problems.push(format!("any and all: {count} comparisons; at most {MAX_COMPARISONS}"));
        }
        for Comparison { measure, value, .. } in self.any.iter().chain(&self.all) {
            if profile.measure_index(measure).is_none() {
                problems.push(format!("measure = \"{measure}\": is not one of the stream's measures"));
            }
            if !value.is_finite() {
                problems.push(format!("value = {value} (of `{measure}`): must be finite"));
            }
        }
        problems
    }
}
