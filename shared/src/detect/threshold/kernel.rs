//! The kernel: compares and remembers nothing.

use super::config::{Comparison, Operator, ThresholdConfig};
use crate::{
    anomaly::{Explanation, Severity},
    detect::{Assessment, Kernel, Score},
    reading::Reading,
    stream::StreamProfile,
};

/// The detector under one profile.
#[derive(Debug, Clone)]
pub struct Threshold {
    rules: Vec<Rule>,
    /// Whether each rule has to hold, and not only one.
    needs_all: bool,
    severity: Severity,
}

#[derive(Debug, Clone)]
struct Rule {
    index: usize,
    name: String,
    unit: String,
    op: Operator,
    value: f64,
}

/// The rule that speaks for the reading: the first that holds, else the first whose measure is there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThresholdEvidence {
    rule: u32,
    observed: f64,
    alarms: bool,
}

impl Threshold {
    /// The kernel of a configuration that is valid under the profile; a measure that the profile lacks is the error.
    ///
    /// # Errors
    /// The name of the measure.
    pub fn try_new(config: &ThresholdConfig, profile: &StreamProfile) -> Result<Self, String> {
        let rule = |Comparison { measure, op, value }: &Comparison| {
            let index = profile.measure_index(measure).ok_or_else(|| measure.clone())?;
            let unit = profile.measures[index].unit.clone();
            Ok(Rule { index, name: measure.clone(), unit, op: *op, value: *value })
        };
        let needs_all = config.any.is_empty();
        let rules = if needs_all { &config.all } else { &config.any };
        Ok(Self { rules: rules.iter().map(rule).collect::<Result<_, String>>()?, needs_all, severity: config.severity })
    }
}

impl Kernel for Threshold {
    type State = ();
    type Evidence = ThresholdEvidence;

    fn assess(&self, (): &mut (), reading: &Reading) -> Assessment<ThresholdEvidence> {
        let (mut seen, mut spoken, mut missing, mut failed) = (None, None, false, false);
        for (at, rule) in self.rules.iter().enumerate() {
            let Some(observed) = reading.measures.get(rule.index).copied().flatten() else {
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
