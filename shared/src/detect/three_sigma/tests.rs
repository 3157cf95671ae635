//! The kernel beside a computation that forgets nothing and shares nothing with it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    anomaly::Severity,
    detect::{
        Assessment, Kernel,
        test_support::{Alarm, alarm, household, reading},
    },
    reading::Reading,
};

fn config(measures: &[&str], window_readings: u32) -> ThreeSigmaConfig {
    ThreeSigmaConfig {
        measures: measures.iter().map(|&name| name.to_owned()).collect(),
        baseline: Baseline::Rolling { window_readings },
        sigmas: 3.0,
        min_sd: BTreeMap::new(),
    }
}

fn judge_all(kernel: &ThreeSigma, values: &[Option<f64>]) -> Vec<Option<Alarm>> {
    let mut state = ThreeSigmaState::default();
    values.iter().map(|value| alarm(kernel, &mut state, &reading(*value, None))).collect()
}

fn kernel(config: &ThreeSigmaConfig, min_readings: u32) -> ThreeSigma {
    let Baseline::Rolling { window_readings } = config.baseline else { panic!("{config:?}") };
    ThreeSigma::try_rolling(config, window_readings, min_readings, &household()).unwrap()
}

/// The same rule by two passes over a plain list.
fn naive_deviations(values: &[Option<f64>], window: usize, min: usize, sigmas: f64) -> Vec<Option<f64>> {
    let mut kept: Vec<f64> = Vec::new();
    let mut judge = |value: f64| {
        let last = &kept[kept.len().saturating_sub(window)..];
        if last.len() < min {
            kept.push(value);
            return None;
        }
        let count = last.len() as f64;
        let mean = last.iter().sum::<f64>() / count;
        let variance = last.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (count - 1.0);
        let sd = variance.sqrt().max(0.01 * mean.abs()).max(1e-9);
        let reach = 2.0 * sigmas * sd;
        kept.push(value.clamp(mean - reach, mean + reach));
        Some((value - mean).abs() / sd)
    };
    values.iter().map(|value| value.and_then(&mut judge)).collect()
}

proptest! {
    #[test]
    fn verdicts_are_those_of_two_passes_over_the_window(
        values in prop::collection::vec(prop::option::weighted(0.9, prop_oneof![9 => 0.0..4.0, 1 => 0.0..40.0]), 0..300),
        window in 4_u32..50,
    ) {
        let kernel = kernel(&config(&["active_power"], window), 3);
        let expected = naive_deviations(&values, window as usize, 3, 3.0);
        for (verdict, deviations) in judge_all(&kernel, &values).iter().zip(expected) {
            match (verdict, deviations) {
                (Some(verdict), Some(deviations)) => {
                    prop_assert!((verdict.score - deviations).abs() < 1e-6 * deviations, "{verdict:?} {deviations}");
                    prop_assert!(deviations > 3.0 - 1e-6);
                }
                (None, Some(deviations)) => prop_assert!(deviations < 3.0 + 1e-6, "{deviations} was not reported"),
                (Some(verdict), None) => prop_assert!(false, "{verdict:?} without a window"),
                (None, None) => {}
            }
        }
    }
}

#[test]
fn it_is_silent_until_the_window_has_its_least_readings() {
    let kernel = kernel(&config(&["active_power"], 10), 5);
    let verdicts = judge_all(&kernel, &[1.0, 1.1, 0.9, 1.0, 900.0].map(Some));
    assert!(verdicts.iter().all(Option::is_none));
    let verdicts = judge_all(&kernel, &[1.0, 1.1, 0.9, 1.0, 1.0, 900.0].map(Some));
    assert!(verdicts[5].is_some());
}

#[test]
fn a_missing_value_is_neither_judged_nor_a_zero_in_the_window() {
    let kernel = kernel(&config(&["active_power"], 10), 5);
    let mut values = vec![None; 20];
    values.extend([1.0, 1.1, 0.9, 1.0, 1.05, 1.02].map(Some));
    assert!(judge_all(&kernel, &values).iter().all(Option::is_none));
}

#[test]
fn a_value_that_stands_still_is_no_alarm_and_leaving_it_is_one() {
    let kernel = kernel(&config(&["active_power"], 10), 5);
    let mut values = vec![Some(0.0); 50];
    assert!(judge_all(&kernel, &values).iter().all(Option::is_none));
    values.push(Some(0.5));
    let verdict = judge_all(&kernel, &values).pop().flatten().unwrap();
    assert!(verdict.score.is_finite() && verdict.severity == Severity::Critical, "{verdict:?}");
}

#[test]
fn a_floor_keeps_quiet_hours_from_being_judged_too_finely() {
    let strict = config(&["active_power"], 10);
    let lenient = ThreeSigmaConfig { min_sd: BTreeMap::from([("active_power".to_owned(), 1.0)]), ..strict.clone() };
    let values = [0.30, 0.31, 0.30, 0.31, 0.30, 0.31, 2.5].map(Some);
    assert!(judge_all(&kernel(&strict, 5), &values)[6].is_some());
    assert!(judge_all(&kernel(&lenient, 5), &values)[6].is_none());
}

#[test]
fn a_spike_does_not_hide_the_next_one() {
    let kernel = kernel(&config(&["active_power"], 100), 5);
    let mut values: Vec<Option<f64>> = (0..100).map(|i| Some(1.0 + 0.1 * f64::from(i % 3))).collect();
    values.extend([1e6, 5.0].map(Some));
    let verdicts = judge_all(&kernel, &values);
    assert!(verdicts[100].is_some() && verdicts[101].is_some());
}

#[test]
fn the_worst_of_several_measures_speaks_with_its_expectation() {
    let kernel = kernel(&config(&["active_power", "voltage"], 10), 4);
    let mut state = ThreeSigmaState::default();
    for i in 0..10 {
        let sway = f64::from(i % 2);
        assert!(alarm(&kernel, &mut state, &reading(Some(1.0 + sway), Some(240.0 + sway))).is_none());
    }
    let verdict = alarm(&kernel, &mut state, &reading(Some(4.0), Some(200.0))).unwrap();
    let explanation = &verdict.explanation;
    assert_eq!((explanation.measure.as_str(), explanation.observed), ("voltage", 200.0));
    assert_eq!((explanation.window_readings, verdict.threshold), (10, 3.0));
    let (low, high) = (explanation.expected_low.unwrap(), explanation.expected_high.unwrap());
    assert!(low < 240.0 && high > 241.0 && low > 200.0, "{low} {high}");
    assert!(explanation.text.contains("below the mean 240.500 V of the last 10 readings"), "{}", explanation.text);
}

#[test]
fn a_configuration_names_every_problem_with_its_key() {
    let bad = ThreeSigmaConfig {
        measures: vec!["voltage".to_owned(), "watts".to_owned(), "voltage".to_owned()],
        baseline: Baseline::Rolling { window_readings: 1 },
        sigmas: f64::NAN,
        min_sd: BTreeMap::from([("current".to_owned(), -1.0)]),
    };
    let problems = bad.problems(&household(), 0).join("\n");
    for key in [
        "`watts`",
        "`voltage` is named twice",
        "window_readings = 1",
        "min_readings = 0",
        "sigmas = NaN",
        "min_sd.current",
    ] {
        assert!(problems.contains(key), "{key} is not in\n{problems}");
    }
    assert_eq!(config(&["voltage"], 2).problems(&household(), 2), Vec::<String>::new());
}

#[test]
fn it_tells_how_far_its_warm_up_is() {
    let kernel = kernel(&config(&["active_power"], 10), 5);
    let mut state = ThreeSigmaState::default();
    assert_eq!(kernel.assess(&mut state, &reading(None, None)), Assessment::Unjudged);
    assert_eq!(kernel.assess(&mut state, &reading(Some(1.0), None)), Assessment::WarmingUp { readings: 0, needed: 5 });
    assert_eq!(kernel.assess(&mut state, &reading(Some(1.0), None)), Assessment::WarmingUp { readings: 1, needed: 5 });
}

#[test]
fn an_hour_of_the_week_is_judged_by_its_own_past_once_it_was_seen_in_three_weeks() {
    let hourly =
        ThreeSigmaConfig { baseline: Baseline::HourOfWeek { train_window_days: None }, ..config(&["active_power"], 2) };
    let at = |hour: i64| chrono::DateTime::from_timestamp(hour * 3600, 0).unwrap();
    let take = |weeks: i64| {
        let mut trainer = HourOfWeekTrainer::try_new(&hourly.measures, &household()).unwrap();
        for hour in 0..weeks * 168 {
            // Two kilowatts in the evening, else a half, and a sway from week to week.
            let evening = if hour % 24 == 18 { 1.5 } else { 0.0 };
            let power = 0.5 + evening + 0.1 * (hour / 168 % 2) as f64;
            trainer.take(&Reading { event_time: at(hour), ..reading(Some(power), None) }).unwrap();
        }
        ThreeSigma::try_hour_of_week(&hourly, &household(), &trainer.finish().to_bytes().unwrap()).unwrap()
    };
    let judge = |kernel: &ThreeSigma, hour: i64, power: f64| {
        let reading = Reading { event_time: at(hour), ..reading(Some(power), None) };
        kernel.assess(&mut ThreeSigmaState::default(), &reading)
    };
    assert_eq!(judge(&take(2), 168 * 9 + 18, 2.0), Assessment::WarmingUp { readings: 2, needed: 3 });
    let learned = take(8);
    assert!(matches!(judge(&learned, 168 * 9 + 18, 2.0), Assessment::Judged { alarm: None, .. }));
    let at_night = Reading { event_time: at(168 * 9 + 4), ..reading(Some(2.0), None) };
    let told = alarm(&learned, &mut ThreeSigmaState::default(), &at_night).unwrap();
    assert_eq!((told.severity, told.explanation.window_readings), (Severity::Critical, 8));
    assert!(told.explanation.text.contains("of this hour of the week, 8 readings"), "{}", told.explanation.text);
}
