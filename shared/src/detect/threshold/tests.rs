//! Rules with all their gaps.

use super::*;
use crate::{
    anomaly::Severity,
    detect::{
        Assessment, Kernel,
        test_support::{Alarm, alarm, household, reading, score},
    },
    reading::Reading,
};

fn comparison(measure: &str, op: Operator, value: f64) -> Comparison {
    Comparison { measure: measure.to_owned(), op, value }
}

/// Over 40 kW, or over 250 V.
fn rules() -> Vec<Comparison> {
    vec![comparison("active_power", Operator::Above, 40.0), comparison("voltage", Operator::Above, 250.0)]
}

fn any() -> Threshold {
    let config = ThresholdConfig { any: rules(), all: Vec::new(), severity: Severity::Warning };
    Threshold::try_new(&config, &household()).unwrap()
}

fn all() -> Threshold {
    let config = ThresholdConfig { any: Vec::new(), all: rules(), severity: Severity::Critical };
    Threshold::try_new(&config, &household()).unwrap()
}

fn alarms(kernel: &Threshold, reading: &Reading) -> Option<Alarm> {
    alarm(kernel, &mut (), reading)
}

#[test]
fn one_comparison_of_any_is_enough_and_the_value_itself_is_not_above_itself() {
    let told = alarms(&any(), &reading(Some(40.1), Some(230.0))).unwrap();
    assert_eq!((told.score, told.threshold, told.severity), (1.0, 1.0, Severity::Warning));
    assert_eq!(told.explanation.text, "active_power of 40.100 kW: the rule active_power > 40 kW holds");
    assert_eq!((told.explanation.expected_low, told.explanation.expected_high), (None, Some(40.0)));
    let told = alarms(&any(), &reading(Some(1.0), Some(251.0))).unwrap();
    assert_eq!((told.explanation.measure.as_str(), told.explanation.observed), ("voltage", 251.0));
    assert_eq!(score(&any(), &mut (), &reading(Some(40.0), Some(250.0))), Some(0.0));
    assert_eq!(alarms(&any(), &reading(Some(40.0), Some(250.0))), None);
}

#[test]
fn all_comparisons_have_to_hold() {
    assert_eq!(alarms(&all(), &reading(Some(41.0), Some(230.0))), None);
    let told = alarms(&all(), &reading(Some(41.0), Some(251.0))).unwrap();
    assert_eq!(told.severity, Severity::Critical);
    assert!(told.explanation.text.ends_with("holds, and so do the other 1 conditions"), "{}", told.explanation.text);
}

#[test]
fn what_is_missing_holds_for_nothing_and_rules_nothing_out() {
    assert_eq!(any().assess(&mut (), &reading(None, None)), Assessment::Unjudged);
    assert!(alarms(&any(), &reading(None, Some(251.0))).is_some());
    assert_eq!(score(&any(), &mut (), &reading(None, Some(240.0))), Some(0.0));
    assert_eq!(all().assess(&mut (), &reading(None, Some(251.0))), Assessment::Unjudged);
    assert_eq!(score(&all(), &mut (), &reading(None, Some(240.0))), Some(0.0), "one that fails is enough");
}

#[test]
fn each_operator_compares_as_it_is_written() {
    let table = [
        (Operator::Above, [false, false, true]),
        (Operator::AtLeast, [false, true, true]),
        (Operator::Below, [true, false, false]),
        (Operator::AtMost, [true, true, false]),
    ];
    for (op, expected) in table {
        assert_eq!([1.0, 2.0, 3.0].map(|observed| op.holds(observed, 2.0)), expected, "{}", op.as_str());
    }
}

#[test]
fn a_rule_is_read_as_people_write_it() {
    let config: ThresholdConfig =
        toml::from_str("any = [{ measure = \"voltage\", op = \">=\", value = 250.0 }]\nseverity = \"minor\"").unwrap();
    assert_eq!(config.any, [comparison("voltage", Operator::AtLeast, 250.0)]);
    assert_eq!(config.severity, Severity::Minor);
    let wrong = toml::from_str::<ThresholdConfig>("any = [{ measure = \"voltage\", op = \"=>\", value = 1.0 }]");
    assert!(wrong.unwrap_err().to_string().contains("=>"));
}

#[test]
fn a_rule_names_every_problem_with_its_key() {
    let both = ThresholdConfig { any: rules(), all: rules(), severity: Severity::Minor };
    assert!(both.problems(&household())[0].starts_with("any and all: write exactly one"));
    let none = ThresholdConfig { any: Vec::new(), all: Vec::new(), severity: Severity::Minor };
    assert!(none.problems(&household())[0].starts_with("any and all: write exactly one"));
    let bad = ThresholdConfig { any: vec![comparison("volts", Operator::Above, f64::NAN)], ..none };
    let problems = bad.problems(&household()).join("\n");
    assert!(problems.contains("`volts`") && problems.contains("\"volts\": is not one of"), "{problems}");
}
