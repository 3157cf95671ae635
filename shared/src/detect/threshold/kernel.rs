//! The kernel: compares, and remembers no more than the features that it compares.

use super::config::{Comparison, Operator, ThresholdConfig};
use crate::{
    anomaly::{Explanation, Severity},
    detect::{
        Assessment, Kernel, Score,
        features::{Feature, FeatureSet, FeatureState, FeatureValues, parse},
    },
    reading::Reading,
    stream::StreamProfile,
};

/// The detector under one profile.
#[derive(Debug, Clone)]
pub struct Threshold {
    rules: Vec<Rule>,
    inputs: Inputs,
    /// Whether each rule has to hold, and not only one.
    needs_all: bool,
    severity: Severity,
}

/// What the rules compare, one after the other.
#[derive(Debug, Clone)]
enum Inputs {
    /// Measures as they are, by their index. Most rules ask for nothing else, and need no memory.
    Measures(Vec<usize>),
    Features(Box<FeatureSet>),
}

#[derive(Debug, Clone)]
struct Rule {
    name: String,
    unit: String,
    op: Operator,
    value: f64,
}

/// The rule that speaks for the reading: the first that holds, else the first whose value is there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThresholdEvidence {
    rule: u32,
    observed: f64,
    alarms: bool,
}

impl Threshold {
    /// The kernel of a configuration that is valid under the profile; a measure or feature that the profile lacks is the
    /// error.
    ///
    /// # Errors
    /// Its name.
    pub fn try_new(config: &ThresholdConfig, profile: &StreamProfile) -> Result<Self, String> {
        let needs_all = config.any.is_empty();
        let texts = || config.comparisons().map(|comparison| comparison.measure.as_str());
        let features = FeatureSet::try_new(texts(), profile)?;
        let rule = |(at, Comparison { measure, op, value }): (usize, &Comparison)| {
            let (_, unit) = features.text_and_unit(at);
            Rule { name: measure.clone(), unit: unit.to_owned(), op: *op, value: *value }
        };
        let rules = config.comparisons().enumerate().map(rule).collect();
        let plain = |text| match parse(text, profile) {
            Ok(Feature::Value(measure)) => Some(measure),
            _ => None,
        };
        let inputs = match texts().map(plain).collect::<Option<Vec<usize>>>() {
            Some(measures) => Inputs::Measures(measures),
            None => Inputs::Features(Box::new(features)),
        };
        Ok(Self { rules, inputs, needs_all, severity: config.severity })
    }

    /// Whether it remembers anything of a device.
    pub(in crate::detect) const fn looks_back(&self) -> bool {
        matches!(self.inputs, Inputs::Features(_))
    }
}

impl Kernel for Threshold {
    type State = FeatureState;
    type Evidence = ThresholdEvidence;

    fn assess(&self, state: &mut FeatureState, reading: &Reading) -> Assessment<ThresholdEvidence> {
        let features: Option<FeatureValues> = match &self.inputs {
            Inputs::Measures(_) => None,
            Inputs::Features(set) => set.take(state, reading),
        };
        let value = |at: usize| match &self.inputs {
            Inputs::Measures(measures) => reading.measures.get(measures[at]).copied().flatten(),
            Inputs::Features(_) => features.as_ref()?.get(at).copied().filter(|value| !value.is_nan()),
        };
        let (mut seen, mut spoken, mut missing, mut failed) = (None, None, false, false);
        for (at, rule) in self.rules.iter().enumerate() {
            let Some(observed) = value(at) else {
                missing = true;
                continue;
            };
            let here = Some((at as u32, observed));
            seen = seen.or(here);
            if rule.op.holds(observed, rule.value) {
                spoken = spoken.or(here);
            } else {
                failed = true;
            }
        }
        let alarms = spoken.is_some() && !(self.needs_all && (missing || failed));
        // All of them may still hold with the value that is missing; nobody knows.
        let undecided = self.needs_all && missing && !failed;
        let place = if alarms { spoken } else { seen };
        match place {
            Some((rule, observed)) if !undecided => Assessment::Judged {
                alarm: alarms.then_some(self.severity),
                evidence: ThresholdEvidence { rule, observed, alarms },
            },
            _ => Assessment::Unjudged,
        }
    }

    fn score(&self, evidence: &ThresholdEvidence) -> Score {
        Score { value: f64::from(u8::from(evidence.alarms)), threshold: 1.0 }
    }

    fn explain(&self, evidence: &ThresholdEvidence) -> Explanation {
        let rule = &self.rules[evidence.rule as usize];
        let Rule { name, unit, op, value, .. } = rule;
        let others = match self.rules.len() - 1 {
            0 => String::new(),
            more if self.needs_all => format!(", and so do the other {more} conditions"),
            _ => String::new(),
        };
        let verb = if evidence.alarms { "holds" } else { "does not hold" };
        let observed = evidence.observed;
        Explanation {
            measure: name.clone(),
            observed,
            expected_low: (!op.looks_up()).then_some(*value),
            expected_high: op.looks_up().then_some(*value),
            window_readings: 1,
            text: format!(
                "{name} of {observed:.3} {unit}: the rule {name} {} {value} {unit} {verb}{others}",
                op.as_str()
            ),
            others: Vec::new(),
        }
    }
}
