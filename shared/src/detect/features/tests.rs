//! The language, and features beside a list that forgets nothing.

use proptest::prelude::*;
use smallvec::SmallVec;

use super::*;
use crate::{position::DeviceId, reading::Reading, stream::StreamProfile};

fn profile() -> StreamProfile {
    let text = r#"
        name = "plants"
        description = "d"
        topic = "t"
        key_field = "plant_id"
        time_field = "timestamp"
        interval_secs = 60
        measures = [{ name = "output", unit = "MW", label = "l" }, { name = "wind", unit = "m/s", label = "l" }]
        tags = ["plant_type"]
        forecast = { target = "output", estimate_from = ["wind"] }
        utc_offset_minutes = 90
    "#;
    StreamProfile::parse(text, "test").unwrap()
}

fn reading(output: Option<f64>, wind: Option<f64>) -> Reading {
    Reading {
        device: DeviceId::parse("p").unwrap(),
        event_time: "2007-01-01T23:00:00Z".parse().unwrap(),
        measures: SmallVec::from_slice(&[output, wind]),
        tags: SmallVec::from_iter([Some("wind".into())]),
        injected: None,
    }
}

fn take(set: &FeatureSet, state: &mut FeatureState, reading: &Reading) -> Option<Vec<Option<f64>>> {
    let values = set.take(state, reading)?;
    Some(values[..set.len()].iter().map(|value| (!value.is_nan()).then_some(*value)).collect())
}

#[test]
fn every_word_of_the_language_is_read() {
    let read = |text: &str| parse(text, &profile()).unwrap();
    assert_eq!(read("wind"), Feature::Value(1));
    assert_eq!(read(" lag( wind ,3 ) "), Feature::Lag { measure: 1, values: 3 });
    assert_eq!(read("difference(output)"), Feature::Difference(0));
    assert_eq!(read("rolling_mean(output, 60)"), Feature::RollingMean { measure: 0, values: 60 });
    assert_eq!(read("unchanged(wind)"), Feature::Unchanged(1));
    assert_eq!((read("hour"), read("day_of_week"), read("month")), (Feature::Hour, Feature::DayOfWeek, Feature::Month));
    assert_eq!(read("is(plant_type, wind)"), Feature::TagIs { tag: 0, value: "wind".to_owned() });
}

#[test]
fn what_is_no_feature_is_told_with_the_fix() {
    for (text, what) in [
        ("watts", "`watts` is not one of the stream's measures"),
        ("lag(watts, 1)", "`watts` is not one of the stream's measures"),
        ("lag(wind, 0)", "`0` must be a whole number from 1 to 1440"),
        ("lag(wind, x)", "`x` must be a whole number"),
        ("lag(wind)", "no such feature; write a measure"),
        ("rolling_mean(wind, 100001)", "from 1 to 100000"),
        ("lag(wind, 1", "the closing `)` is missing"),
        ("is(colour, red)", "`colour` is not one of the stream's tags"),
        ("sin(wind)", "no such feature"),
        ("", "`` is not one of"),
    ] {
        let problem = parse(text, &profile()).unwrap_err();
        assert!(problem.contains(what), "{text}: {problem}");
    }
}

#[test]
fn a_list_is_not_empty_not_too_long_has_no_twins_and_looks_at_a_measure() {
    let told = |features: &[&str]| {
        let features: Vec<String> = features.iter().map(|&text| text.to_owned()).collect();
        feature_problems(&features, &profile()).join("\n")
    };
    assert!(told(&[]).contains("0 named"));
    assert!(told(&["wind", "lag(wind,1)", "lag(wind, 1)"]).contains("`lag(wind, 1)` is named twice"));
    assert!(told(&["hour", "is(plant_type, wind)"]).contains("none of them looks at a measure"));
    let many: Vec<String> = (1..=17).map(|lag| format!("lag(wind, {lag})")).collect();
    assert!(feature_problems(&many, &profile()).join("").contains("17 named"));
    assert_eq!(told(&["output", "hour"]), "");
}

#[test]
fn features_use_what_came_before_and_the_reading_itself() {
    let texts =
        ["output", "lag(output, 2)", "difference(output)", "rolling_mean(output, 3)", "hour", "is(plant_type, wind)"];
    let set = FeatureSet::try_new(texts, &profile()).unwrap();
    let mut state = FeatureState::default();
    let mut next = |output: f64| take(&set, &mut state, &reading(Some(output), None)).unwrap();
    // 23:00 UTC is 00:30 of the next day where the profile is.
    let (hour, is_wind) = (Some(0.0), Some(1.0));
    assert_eq!(next(1.0), [Some(1.0), None, None, None, hour, is_wind]);
    assert_eq!(next(4.0), [Some(4.0), None, Some(3.0), Some(1.0), hour, is_wind]);
    assert_eq!(next(7.0), [Some(7.0), Some(1.0), Some(3.0), Some(2.5), hour, is_wind]);
    assert_eq!(next(0.0), [Some(0.0), Some(4.0), Some(-7.0), Some(4.0), hour, is_wind]);
    assert_eq!(next(0.0), [Some(0.0), Some(7.0), Some(0.0), Some(11.0 / 3.0), hour, is_wind]);
}

#[test]
fn a_run_of_equal_values_is_counted_in_readings_and_a_missing_value_does_not_end_it() {
    let set = FeatureSet::try_new(["unchanged(output)"], &profile()).unwrap();
    let mut state = FeatureState::default();
    let mut next = |output: Option<f64>| Some(take(&set, &mut state, &reading(output, Some(1.0)))?[0]);
    let said = [5.0, 5.0, 5.0, 6.0, 6.0, 5.0].map(|output| next(Some(output)).unwrap());
    assert_eq!(said, [None, Some(1.0), Some(2.0), Some(0.0), Some(1.0), Some(0.0)]);
    assert_eq!((next(None), next(Some(5.0))), (None, Some(Some(1.0))));
    assert_eq!(set.text_and_unit(0), ("unchanged(output)", "readings"));
}

#[test]
fn a_reading_without_the_measures_is_passed_over() {
    let set = FeatureSet::try_new(["difference(output)", "hour"], &profile()).unwrap();
    let mut state = FeatureState::default();
    take(&set, &mut state, &reading(Some(5.0), None));
    assert_eq!(take(&set, &mut state, &reading(None, Some(3.0))), None);
    assert_eq!(take(&set, &mut state, &reading(Some(6.0), None)).unwrap()[0], Some(1.0));
}

proptest! {
    #[test]
    fn lags_and_means_are_those_of_the_whole_list(
        values in prop::collection::vec(
            prop::option::weighted(0.9, prop_oneof![-50.0..50.0_f64, Just(1.0), Just(2.0)]), 1..200,
        ),
        lag in 1_u32..20,
        window in 1_u32..20,
        cut in 0_usize..200,
    ) {
        let texts = [
            format!("lag(output, {lag})"),
            "lag(output, 1)".to_owned(),
            format!("rolling_mean(output, {window})"),
            "unchanged(output)".to_owned(),
        ];
        let set = FeatureSet::try_new(texts.iter().map(String::as_str), &profile()).unwrap();
        let mut state = FeatureState::default();
        let mut before: Vec<f64> = Vec::new();
        for (at, value) in values.iter().enumerate() {
            if at == cut {
                state = postcard::from_bytes(&postcard::to_stdvec(&state).unwrap()).unwrap();
            }
            let found = take(&set, &mut state, &reading(*value, None));
            prop_assert_eq!(found.is_some(), value.is_some());
            if let (Some(found), Some(value)) = (found, value) {
                let back = |n: usize| before.len().checked_sub(n).map(|at| before[at]);
                prop_assert_eq!(found[0], back(lag as usize));
                prop_assert_eq!(found[1], back(1));
                let window = &before[before.len().saturating_sub(window as usize)..];
                let mean = window.iter().sum::<f64>() / window.len() as f64;
                match found[2] {
                    Some(found) => prop_assert!((found - mean).abs() < 1e-9),
                    None => prop_assert!(before.is_empty()),
                }
                let same = before.iter().rev().take_while(|earlier| *earlier == value).count();
                prop_assert_eq!(found[3], (!before.is_empty()).then_some(same as f64));
                before.push(*value);
            }
        }
    }
}
