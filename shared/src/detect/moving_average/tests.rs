//! The kernel beside the average of a plain list.

use proptest::prelude::*;

use super::*;
use crate::{
    anomaly::Severity,
    detect::{
        Assessment, Kernel,
        test_support::{alarm, household, reading, score},
    },
};

fn config(limit: Option<f64>, max_deviation: Option<f64>) -> MovingAverageConfig {
    MovingAverageConfig {
        measure: "voltage".to_owned(),
        window_readings: 10,
        limit,
        max_deviation,
        severity: Severity::Warning,
    }
}

fn kernel(limit: Option<f64>, max_deviation: Option<f64>) -> MovingAverage {
    MovingAverage::try_new(&config(limit, max_deviation), &household()).unwrap()
}

proptest! {
    #[test]
    fn the_score_is_the_average_of_the_last_ten_with_the_reading_itself(
        volts in prop::collection::vec(prop::option::weighted(0.9, 200.0..300.0_f64), 1..100),
    ) {
        let (kernel, mut state) = (kernel(Some(250.0), None), MovingAverageState::default());
        let mut seen = Vec::new();
        for value in volts {
            let said = kernel.assess(&mut state, &reading(Some(1.0), value));
            let Some(value) = value else {
                prop_assert_eq!(said, Assessment::Unjudged);
                continue;
            };
            seen.push(value);
            let last = &seen[seen.len().saturating_sub(10)..];
            let average = last.iter().sum::<f64>() / last.len() as f64;
            let Assessment::Judged { alarm, evidence } = said else { panic!("{said:?}") };
            let score = kernel.score(&evidence);
            prop_assert!((score.value - average).abs() < 1e-9, "{} {average}", score.value);
            prop_assert_eq!(alarm.is_some(), score.value > 250.0);
        }
    }
}

#[test]
fn an_average_at_the_limit_is_no_alarm_and_one_above_it_tells_by_how_much() {
    let (kernel, mut state) = (kernel(Some(250.0), None), MovingAverageState::default());
    for _ in 0..30 {
        assert_eq!(alarm(&kernel, &mut state, &reading(None, Some(250.0))), None);
    }
    let told = alarm(&kernel, &mut state, &reading(None, Some(280.0))).unwrap();
    assert_eq!((told.score, told.threshold, told.severity), (253.0, 250.0, Severity::Warning));
    assert_eq!((told.explanation.observed, told.explanation.window_readings), (280.0, 10));
    assert!(told.explanation.text.contains("average 253.000 V, the limit is 250.000 V"), "{}", told.explanation.text);
}

#[test]
fn a_deviation_is_measured_from_the_average_of_the_readings_before() {
    let (kernel, mut state) = (kernel(None, Some(30.0)), MovingAverageState::default());
    assert_eq!(
        kernel.assess(&mut state, &reading(None, Some(900.0))),
        Assessment::WarmingUp { readings: 0, needed: 1 }
    );
    for _ in 0..10 {
        kernel.assess(&mut state, &reading(None, Some(230.0)));
    }
    assert_eq!(score(&kernel, &mut state, &reading(None, Some(260.0))), Some(30.0));
    let told = alarm(&kernel, &mut state, &reading(None, Some(200.0))).unwrap();
    assert_eq!((told.score, told.threshold), (33.0, 30.0));
    assert_eq!((told.explanation.expected_low, told.explanation.expected_high), (Some(203.0), Some(263.0)));
}

#[test]
fn a_state_read_back_judges_on_to_the_last_bit() {
    let (kernel, mut state) = (kernel(Some(250.0), None), MovingAverageState::default());
    for i in 0..37 {
        kernel.assess(&mut state, &reading(None, Some(230.0 + f64::from(i % 7) / 3.0)));
    }
    let mut copy: MovingAverageState = postcard::from_bytes(&postcard::to_stdvec(&state).unwrap()).unwrap();
    let next = reading(None, Some(231.1));
    let scores = [&mut state, &mut copy].map(|state| score(&kernel, state, &next).unwrap().to_bits());
    assert_eq!(scores[0], scores[1]);
}

#[test]
fn a_configuration_names_every_problem_with_its_key() {
    let bad = MovingAverageConfig {
        measure: "volts".to_owned(),
        window_readings: 0,
        ..config(Some(f64::INFINITY), Some(-1.0))
    };
    let problems = bad.problems(&household()).join("\n");
    for key in ["\"volts\"", "window_readings = 0", "exactly one", "limit = inf", "max_deviation = -1"] {
        assert!(problems.contains(key), "{key} is not in\n{problems}");
    }
    assert!(config(None, None).problems(&household())[0].contains("exactly one"));
    assert_eq!(config(Some(250.0), None).problems(&household()), Vec::<String>::new());
}
