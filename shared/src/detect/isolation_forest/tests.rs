//! What a forest has to tell apart, and that it is the same one every time.

use proptest::prelude::*;
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::*;
use crate::{
    anomaly::Severity,
    detect::{
        features::FeatureState,
        test_support::{Alarm, alarm, household, reading},
    },
    reading::Reading,
};

fn names() -> Vec<String> {
    ["active_power", "voltage"].map(str::to_owned).to_vec()
}

/// Power between 0 and 4 kW, and a voltage that sinks as it rises.
fn rows(count: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let row = |_| {
        let power: f64 = rng.random_range(0.0..4.0);
        [power, 242.0 - power + rng.random_range(-1.0..1.0)]
    };
    (0..count).flat_map(row).collect()
}

fn forest(seed: u64) -> IsolationForestModel {
    let (names, values) = (names(), rows(5000));
    train(TrainingRows { features: &names, values: &values }, ForestParams::default(), 0.99, seed).unwrap()
}

fn kernel() -> IsolationForest {
    IsolationForest::try_new(&household(), &forest(1).to_bytes().unwrap()).unwrap()
}

fn alarm_on(reading: &Reading) -> Option<Alarm> {
    alarm(&kernel(), &mut FeatureState::default(), reading)
}

#[test]
fn an_outlier_scores_above_everything_normal() {
    let model = forest(1);
    let normal = [0.5, 1.0, 2.0, 3.5].map(|power| model.score(&[Some(power), Some(242.0 - power)]));
    let outliers = [[12.0, 240.0], [1.0, 190.0], [1.0, 280.0], [-5.0, 240.0], [1e300, 240.0]];
    for [power, voltage] in outliers {
        let score = model.score(&[Some(power), Some(voltage)]);
        assert!(score > model.threshold(), "{power} kW at {voltage} V scores {score}, alarm {}", model.threshold());
        assert!(normal.iter().all(|normal| *normal < score && *normal < model.threshold()));
    }
}

#[test]
fn a_meter_that_repeats_a_usual_value_stands_out_by_how_long_it_does() {
    let names = ["active_power", "unchanged(active_power)"].map(str::to_owned);
    // In a house of many loads, one value in fifty comes twice in a row.
    let rows = rows(5000);
    let repeated = |row: usize| f64::from(u8::from(row.is_multiple_of(50)));
    let values: Vec<f64> = rows.chunks_exact(2).enumerate().flat_map(|(row, kw)| [kw[0], repeated(row)]).collect();
    let model = train(TrainingRows { features: &names, values: &values }, ForestParams::PAPER, 0.99, 1).unwrap();
    let kernel = IsolationForest::try_new(&household(), &model.to_bytes().unwrap()).unwrap();
    let mut state = FeatureState::default();
    let told: Vec<_> = (0..20).map(|_| alarm(&kernel, &mut state, &reading(Some(1.5), None))).collect();
    assert_eq!(told[..2], [None, None], "once or twice is usual");
    let told = told[19].as_ref().unwrap();
    assert_eq!(told.explanation.measure, "unchanged(active_power)");
    assert!(told.explanation.text.contains("of 19.000 readings is outside the usual"), "{}", told.explanation.text);
    assert_eq!(alarm(&kernel, &mut state, &reading(Some(1.7), None)), None, "it moves again");
}

#[test]
fn a_configuration_names_every_problem_with_its_key() {
    let config = |text: &str| toml::from_str::<IsolationForestConfig>(text).unwrap();
    let usual = config("features = [\"voltage\"]\nalarm_quantile = 0.99");
    assert_eq!((usual.rows_per_tree, ForestParams::of(&usual)), (256, ForestParams::PAPER));
    assert_eq!(usual.problems(&household()), Vec::<String>::new());
    let bad = config("features = []\nalarm_quantile = 1.0\ntrain_window_days = 0\nrows_per_tree = 5000");
    let problems = bad.problems(&household()).join("\n");
    for key in
        ["features: 0 named", "alarm_quantile = 1", "train_window_days = 0", "rows_per_tree = 5000: must be 16 to 4096"]
    {
        assert!(problems.contains(key), "{key} is not in\n{problems}");
    }
}

#[test]
fn a_key_that_has_its_default_is_not_in_the_pins_that_the_build_before_it_reads() {
    let text = "features = [\"voltage\"]\nalarm_quantile = 0.99\n";
    for (more, is_written) in [("", false), ("rows_per_tree = 256", false), ("rows_per_tree = 512", true)] {
        let config: IsolationForestConfig = toml::from_str(&format!("{text}{more}")).unwrap();
        let pinned = serde_json::to_string(&config).unwrap();
        assert_eq!(pinned.contains("rows_per_tree"), is_written, "{pinned}");
        assert_eq!(serde_json::from_str::<IsolationForestConfig>(&pinned).unwrap(), config);
    }
}

#[test]
fn a_combination_that_never_occurs_is_more_unusual_than_either_value() {
    // 242 V is usual at no load and 238 V at full load.
    let model = forest(1);
    let odd = model.score(&[Some(3.9), Some(242.6)]);
    assert!(odd > model.score(&[Some(3.9), Some(238.1)]) && odd > model.score(&[Some(0.1), Some(242.0)]));
}

#[test]
fn the_alarm_quantile_is_the_share_of_training_rows_that_stay_silent() {
    let (model, values) = (forest(1), rows(5000));
    let alarms = values.chunks(2).filter(|row| model.score(&[Some(row[0]), Some(row[1])]) > model.threshold()).count();
    assert!((40..=60).contains(&alarms), "{alarms} of 5000 at the quantile 0.99");
}

#[test]
fn the_same_seed_grows_the_same_bytes_and_another_seed_others() {
    assert_eq!(forest(7).to_bytes(), forest(7).to_bytes());
    assert_ne!(forest(7).to_bytes(), forest(8).to_bytes());
}

#[test]
fn a_model_read_back_scores_the_same_bits() {
    let model = forest(1);
    let copy = IsolationForestModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert_eq!(copy, model);
    assert_eq!(copy.score(&[Some(7.0), None]).to_bits(), model.score(&[Some(7.0), None]).to_bits());
}

#[test]
fn a_missing_value_counts_as_the_median_and_a_reading_without_any_is_not_judged() {
    let model = forest(1);
    let median = model.features[1].median;
    assert_eq!(model.score(&[Some(9.0), None]), model.score(&[Some(9.0), Some(median)]));
    assert_eq!(alarm_on(&reading(None, None)), None);
    assert!(alarm_on(&reading(Some(50.0), None)).is_some());
}

#[test]
fn missing_values_in_training_neither_count_nor_stop_it() {
    let (names, mut values) = (names(), rows(1000));
    values.extend([f64::NAN, f64::NAN, 1.0, f64::NAN]);
    let model = train(TrainingRows { features: &names, values: &values }, ForestParams::default(), 0.99, 1).unwrap();
    assert!(model.score(&[Some(40.0), Some(240.0)]) > model.threshold());
}

#[test]
fn a_verdict_blames_the_measure_that_is_off() {
    let verdict = alarm_on(&reading(Some(1.0), Some(180.0))).unwrap();
    let explanation = &verdict.explanation;
    assert_eq!((explanation.measure.as_str(), explanation.observed), ("voltage", 180.0));
    assert!(explanation.expected_low.unwrap() > 230.0 && explanation.expected_high.unwrap() < 250.0);
    assert!(verdict.score > verdict.threshold && verdict.severity == Severity::Critical, "{verdict:?}");
    assert!(explanation.text.contains("voltage of 180.000 V is outside the usual"), "{}", explanation.text);
    assert!(alarm_on(&reading(Some(1.0), Some(241.0))).is_none());
}

#[test]
fn what_no_forest_can_grow_from_is_named() {
    let names = names();
    let grow = |values: &[f64], params, quantile| {
        train(TrainingRows { features: &names, values }, params, quantile, 1).unwrap_err().to_string()
    };
    let params = ForestParams::default();
    assert!(grow(&[1.0, 2.0, 3.0], params, 0.99).contains("no whole rows"));
    assert!(grow(&[1.0, 2.0], params, 0.99).contains("at least 2 rows"));
    assert!(grow(&[f64::NAN; 8], params, 0.99).contains("at least 2 rows"));
    assert!(grow(&[1.0; 8], ForestParams { trees: 0, ..params }, 0.99).contains("trees = 0"));
    assert!(grow(&[1.0; 8], ForestParams { sample_size: 1, ..params }, 0.99).contains("sample_size = 1"));
    assert!(grow(&[1.0; 8], params, 1.0).contains("alarm_quantile = 1"));
    let none: TrainingRows<'_> = TrainingRows { features: &[], values: &[] };
    assert_eq!(train(none, params, 0.99, 1), Err(TrainError::Features { found: 0 }));
}

#[test]
fn rows_that_are_all_alike_raise_no_alarm() {
    let names = names();
    let model =
        train(TrainingRows { features: &names, values: &[1.0; 200] }, ForestParams::default(), 0.99, 1).unwrap();
    assert!(model.score(&[Some(1.0), Some(1.0)]) <= model.threshold());
}

#[test]
fn extreme_values_in_training_give_a_model_that_can_be_read_back() {
    let names = names();
    let values = [f64::MAX, 0.0, -f64::MAX, 1.0, 0.0, f64::MAX, 1e-300, -1.0];
    let model = train(TrainingRows { features: &names, values: &values }, ForestParams::default(), 0.9, 1).unwrap();
    assert_eq!(IsolationForestModel::from_bytes(&model.to_bytes().unwrap()), Ok(model));
}

#[test]
fn a_model_of_another_stream_or_format_is_refused() {
    let foreign = train(
        TrainingRows { features: &["output_mw".to_owned()], values: &[1.0, 2.0, 3.0] },
        ForestParams::default(),
        0.9,
        1,
    );
    let bytes = foreign.unwrap().to_bytes().unwrap();
    let refused = IsolationForest::try_new(&household(), &bytes).unwrap_err();
    assert_eq!(refused, ModelProblem::UnknownFeature("output_mw".to_owned()));
    let mut newer = bytes;
    newer[0] += 1;
    assert_eq!(IsolationForestModel::from_bytes(&newer), Err(ModelProblem::UnsupportedFormat { found: 2 }));
}

#[test]
fn a_feature_that_looks_back_sees_a_jump_between_usual_values() {
    let names: Vec<String> = ["active_power", "difference(active_power)"].map(str::to_owned).to_vec();
    let wave = |i: u32| f64::from(i % 400).min(f64::from(400 - i % 400)) / 50.0;
    let values: Vec<f64> = (1..4000).flat_map(|i| [wave(i), wave(i) - wave(i - 1)]).collect();
    let model = train(TrainingRows { features: &names, values: &values }, ForestParams::default(), 0.99, 1).unwrap();
    let kernel = IsolationForest::try_new(&household(), &model.to_bytes().unwrap()).unwrap();
    let mut state = FeatureState::default();
    alarm(&kernel, &mut state, &reading(Some(wave(20)), None));
    for i in 21..100 {
        assert_eq!(alarm(&kernel, &mut state, &reading(Some(wave(i)), None)), None);
    }
    let jump = alarm(&kernel, &mut state, &reading(Some(6.0), None)).unwrap();
    assert_eq!(jump.explanation.measure, "difference(active_power)");
    assert!(jump.explanation.text.starts_with("difference(active_power) of 4.020 kW"), "{}", jump.explanation.text);
}

proptest! {
    #[test]
    fn a_walk_that_ends_early_tells_what_the_whole_one_would(
        power in -2.0..9.0, voltage in 200.0..280.0, limit in 2.0..14.0, trees in 1..22_u32,
    ) {
        let (names, values) = (names(), rows(300));
        let params = ForestParams { trees, ..ForestParams::default() };
        let model = train(TrainingRows { features: &names, values: &values }, params, 0.99, 1).unwrap();
        let vector = model.vector([Some(power), Some(voltage)].into_iter());
        let mean = model.mean_path(&vector);
        for limit in [limit, mean] {
            prop_assert_eq!(model.mean_path_below(&vector, limit), (mean < limit).then_some(mean));
        }
    }

    #[test]
    fn damaged_bytes_are_an_error_or_a_model_that_can_score(at in 1_usize..2000, with: u8, keep in 0_usize..6000) {
        let names = names();
        let values = rows(64);
        let params = ForestParams { trees: 2, sample_size: 16 };
        let model = train(TrainingRows { features: &names, values: &values }, params, 0.9, 1).unwrap();
        let mut bytes = model.to_bytes().unwrap();
        let at = at % bytes.len();
        bytes[at] = with;
        bytes.truncate(keep.max(at));
        if let Ok(model) = IsolationForestModel::from_bytes(&bytes) {
            prop_assert!((0.0..=1.0).contains(&model.score(&[Some(1.0), Some(240.0)])));
        }
    }
}
