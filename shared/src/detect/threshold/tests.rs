//! Rules with all their gaps.

use super::*;
use crate::{
    anomaly::Severity,
    detect::{
        Assessment, Kernel,
        features::FeatureState,
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
    alarm(kernel, &mut FeatureState::default(), reading)
}

#[test]
fn one_comparison_of_any_is_enough_and_the_value_itself_is_not_above_itself() {
    let told = alarms(&any(), &reading(Some(40.1), Some(230.0))).unwrap();
    assert_eq!((told.score, told.threshold, told.severity), (1.0, 1.0, Severity::Warning));
    assert_eq!(told.explanation.text, "active_power of 40.100 kW: the rule active_power > 40 kW holds");
    assert_eq!((told.explanation.expected_low, told.explanation.expected_high), (None, Some(40.0)));
    let told = alarms(&any(), &reading(Some(1.0), Some(251.0))).unwrap();
    assert_eq!((told.explanation.measure.as_str(), told.explanation.observed), ("voltage", 251.0));
    assert_eq!(score(&any(), &mut FeatureState::default(), &reading(Some(40.0), Some(250.0))), Some(0.0));
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
    assert_eq!(any().assess(&mut FeatureState::default(), &reading(None, None)), Assessment::Unjudged);
    assert!(alarms(&any(), &reading(None, Some(251.0))).is_some());
    assert_eq!(score(&any(), &mut FeatureState::default(), &reading(None, Some(240.0))), Some(0.0));
    assert_eq!(all().assess(&mut FeatureState::default(), &reading(None, Some(251.0))), Assessment::Unjudged);
    assert_eq!(
        score(&all(), &mut FeatureState::default(), &reading(None, Some(240.0))),
        Some(0.0),
        "one that fails is enough"
    );
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
fn a_rule_may_ask_how_long_a_value_has_not_changed_and_for_the_hour() {
    let config: ThresholdConfig = toml::from_str(
        "any = [{ measure = \"active_power\", op = \"<=\", value = 0.0 }, { measure = \"unchanged(voltage)\", op = \">=\", value = 2 }]",
    )
    .unwrap();
    assert_eq!(config.problems(&household()), Vec::<String>::new());
    let (kernel, mut state) = (Threshold::try_new(&config, &household()).unwrap(), FeatureState::default());
    let mut told = |power, volts| alarm(&kernel, &mut state, &reading(Some(power), Some(volts)));
    assert_eq!([240.1, 240.1, 240.2, 240.2].map(|volts| told(1.0, volts)), [None, None, None, None]);
    let stuck = told(1.0, 240.2).unwrap().explanation;
    assert_eq!((stuck.measure.as_str(), stuck.observed), ("unchanged(voltage)", 2.0));
    assert!(stuck.text.contains("the rule unchanged(voltage) >= 2 readings holds"), "{}", stuck.text);
    let no_load = told(0.0, 240.3).unwrap().explanation;
    assert_eq!(no_load.measure, "active_power");
    assert_eq!(told(0.1, 240.4), None);

    let night: ThresholdConfig = toml::from_str(
        "all = [{ measure = \"hour\", op = \"<\", value = 6 }, { measure = \"active_power\", op = \">\", value = 5.0 }]",
    )
    .unwrap();
    assert_eq!(night.problems(&household()), Vec::<String>::new());
    let kernel = Threshold::try_new(&night, &household()).unwrap();
    assert!(alarms(&kernel, &reading(Some(6.0), None)).is_some(), "1970 began at one o'clock where the household is");
    assert_eq!(kernel.assess(&mut FeatureState::default(), &reading(None, None)), Assessment::Unjudged);
    let hour_alone = ThresholdConfig { all: night.all[..1].to_vec(), ..night };
    assert!(hour_alone.problems(&household())[0].contains("none of the comparisons looks at a measure"));
}

#[test]
fn a_rule_names_every_problem_with_its_key() {
    let both = ThresholdConfig { any: rules(), all: rules(), severity: Severity::Minor };
    assert!(both.problems(&household())[0].starts_with("any and all: write exactly one"));
    let none = ThresholdConfig { any: Vec::new(), all: Vec::new(), severity: Severity::Minor };
    assert!(none.problems(&household())[0].starts_with("any and all: write exactly one"));
    let bad = ThresholdConfig { any: vec![comparison("volts", Operator::Above, f64::NAN)], ..none };
    let problems = bad.problems(&household()).join("\n");
    assert!(problems.contains("measure = \"volts\": `volts`") && problems.contains("is not one of"), "{problems}");
}
