//! Three groups of readings, and what lies between them.

use std::sync::LazyLock;

use proptest::prelude::*;
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::*;
use crate::{
    anomaly::Severity,
    detect::{
        features::{FeatureState, FeatureValues, MAX_FEATURES},
        test_support::{alarm, household, reading, score},
    },
};

/// Groups of power and voltage: mean of each, and how far their members lie around it.
const GROUPS: [[f64; 2]; 3] = [[1.0, 242.0], [4.0, 238.0], [9.0, 232.0]];

fn names() -> Vec<String> {
    ["active_power", "voltage"].map(str::to_owned).to_vec()
}

fn row(values: [f64; 2]) -> FeatureValues {
    let mut row = [f64::NAN; MAX_FEATURES];
    row[..2].copy_from_slice(&values);
    row
}

fn rows(count: usize) -> Vec<FeatureValues> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let member = |at: usize| {
        let [power, volts] = GROUPS[at % 3];
        row([power + rng.random_range(-0.4..0.4), volts + rng.random_range(-1.0..1.0)])
    };
    (0..count).map(member).collect()
}

fn model(seed: u64) -> KMeansModel {
    train(&names(), &rows(3000), KMeansParams::new(3, 0.95), seed).unwrap()
}

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| model(1).to_bytes().unwrap());

fn kernel() -> KMeans {
    KMeans::try_new(&household(), &BYTES).unwrap()
}

#[test]
fn the_centres_are_those_of_the_groups_from_low_to_high() {
    for seed in 0..5 {
        let mut found = model(seed).centres();
        found.sort_by(|a, b| a[0].total_cmp(&b[0]));
        for (found, [power, volts]) in found.iter().zip(GROUPS) {
            assert!((found[0] - power).abs() < 0.05 && (found[1] - volts).abs() < 0.1, "{found:?} {power} {volts}");
        }
    }
}

#[test]
fn the_threshold_is_the_quantile_of_the_distances() {
    let model = model(1);
    let beyond = rows(3000).iter().filter(|row| model.distance(row) > model.threshold()).count();
    assert!((145..=155).contains(&beyond), "{beyond} of 3000 at the quantile 0.95");
}

#[test]
fn the_ladder_scales_with_the_threshold() {
    let (kernel, threshold) = (kernel(), model(1).threshold());
    let power_sd = model(1).features[0].sd;
    let at = |multiple: f64| {
        // Straight away from the group of most power, in units of its deviation.
        let [power, volts] = [model(1).centres()[0].clone(), model(1).centres()[2].clone()]
            .into_iter()
            .max_by(|a, b| a[0].total_cmp(&b[0]))
            .map(|centre| [centre[0], centre[1]])
            .unwrap();
        let reading = reading(Some(power + multiple * threshold * power_sd), Some(volts));
        alarm(&kernel, &mut FeatureState::default(), &reading).map(|alarm| alarm.severity)
    };
    assert_eq!(at(0.99), None);
    assert_eq!(at(1.01), Some(Severity::Minor));
    assert_eq!(at(2.5 / 1.86 + 0.01), Some(Severity::Warning));
    assert_eq!(at(3.5 / 1.86 + 0.01), Some(Severity::Critical));
}

#[test]
fn an_alarm_names_the_feature_the_level_and_what_was_expected() {
    let told = alarm(&kernel(), &mut FeatureState::default(), &reading(Some(1.0), Some(260.0))).unwrap();
    let explanation = &told.explanation;
    assert_eq!((explanation.measure.as_str(), explanation.observed), ("voltage", 260.0));
    assert!(explanation.expected_low.unwrap() > 230.0 && explanation.expected_high.unwrap() < 260.0, "{explanation:?}");
    assert!(explanation.text.contains("the nearest level, "), "{}", explanation.text);
    assert_eq!((told.score > told.threshold, explanation.window_readings), (true, 3000));
}

#[test]
fn a_missing_value_counts_as_the_mean_and_a_reading_without_any_is_not_judged() {
    let mean = model(1).features[1].mean;
    let with = score(&kernel(), &mut FeatureState::default(), &reading(Some(4.0), Some(mean)));
    assert_eq!(score(&kernel(), &mut FeatureState::default(), &reading(Some(4.0), None)), with);
    assert_eq!(score(&kernel(), &mut FeatureState::default(), &reading(None, None)), None);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    assert_eq!(model(3).to_bytes(), model(3).to_bytes());
}

#[test]
fn rows_that_are_all_alike_have_one_centre_and_raise_no_alarm() {
    let alike = vec![row([1.0, 240.0]); 50];
    let model = train(&names(), &alike, KMeansParams::new(3, 0.95), 1).unwrap();
    assert_eq!(model.centres().len(), 1);
    assert!(model.distance(&row([1.0, 240.0])) <= model.threshold());
    assert!(model.distance(&row([1.5, 240.0])) > model.threshold());
    assert_eq!(KMeansModel::from_bytes(&model.to_bytes().unwrap()), Ok(model));
}

#[test]
fn anomalies_in_the_history_draw_a_centre_to_themselves_unless_they_are_trimmed() {
    let mut history = rows(2900);
    history.extend(std::iter::repeat_n(row([40.0, 300.0]), 100));
    let learned =
        |trim_share| train(&names(), &history, KMeansParams { trim_share, ..KMeansParams::new(3, 0.95) }, 1).unwrap();
    let (plain, trimmed) = (learned(0.0), learned(0.05));
    let anomaly = row([40.0, 300.0]);
    assert!(plain.distance(&anomaly) < plain.threshold(), "{:?}", plain.centres());
    assert!(trimmed.distance(&anomaly) > trimmed.threshold(), "{:?}", trimmed.centres());
    for (centre, [power, volts]) in trimmed.centres().iter().zip(GROUPS) {
        assert!((centre[0] - power).abs() < 0.1 && (centre[1] - volts).abs() < 0.3, "{:?}", trimmed.centres());
    }
}

#[test]
fn a_history_without_anomalies_makes_none_of_the_usual_where_there_is_a_fence() {
    let share_beyond = |fence| {
        let params = KMeansParams { fence, ..KMeansParams::new(3, 0.95) };
        let model = train(&names(), &rows(3000), params, 1).unwrap();
        rows(3000).iter().filter(|row| model.distance(row) > model.threshold()).count() as f64 / 3000.0
    };
    assert!((0.045..0.055).contains(&share_beyond(None)), "{}", share_beyond(None));
    assert!(share_beyond(Some(1.5)) < 0.001, "{}", share_beyond(Some(1.5)));
}

#[test]
fn what_no_centres_can_be_placed_with_is_named() {
    let grow = |rows: &[FeatureValues], params| train(&names(), rows, params, 1).unwrap_err().to_string();
    let params = KMeansParams::new(3, 0.95);
    assert!(grow(&rows(2), params).contains("at least 3 rows"));
    assert!(grow(&[row([f64::NAN, f64::NAN]); 9], params).contains("at least 3 rows"));
    assert!(grow(&rows(9), KMeansParams { clusters: 17, ..params }).contains("clusters = 17"));
    assert!(grow(&rows(9), KMeansParams { alarm_quantile: 1.0, ..params }).contains("alarm_quantile = 1"));
    assert!(grow(&rows(9), KMeansParams { restarts: 0, ..params }).contains("restarts = 0"));
    assert!(grow(&rows(9), KMeansParams { trim_share: 0.5, ..params }).contains("trim_share = 0.5"));
    assert!(grow(&rows(9), KMeansParams { fence: Some(f64::NAN), ..params }).contains("fence = "));
    assert_eq!(train(&[], &rows(9), params, 1), Err(KMeansTrainError::Features { found: 0 }));
}

#[test]
fn a_configuration_names_every_problem_with_its_key() {
    let bad = KMeansConfig {
        features: vec!["watts".to_owned()],
        clusters: 0,
        alarm_quantile: 0.5,
        trim_share: 0.5,
        fence: Some(-1.0),
        train_window_days: Some(0),
    };
    let problems = bad.problems(&household()).join("\n");
    for key in
        ["`watts`", "clusters = 0", "alarm_quantile = 0.5", "trim_share = 0.5", "fence = -1", "train_window_days = 0"]
    {
        assert!(problems.contains(key), "{key} is not in\n{problems}");
    }
    let short: KMeansConfig = toml::from_str("features = [\"voltage\"]").unwrap();
    assert_eq!((short.clusters, short.alarm_quantile), (3, 0.95));
    assert_eq!(short.problems(&household()), Vec::<String>::new());
}

#[test]
fn a_model_of_another_stream_is_refused() {
    let foreign = train(&["output_mw".to_owned()], &rows(9), KMeansParams::new(1, 0.9), 1).unwrap();
    let refused = KMeans::try_new(&household(), &foreign.to_bytes().unwrap()).unwrap_err();
    assert_eq!(refused, KMeansProblem::UnknownFeature("output_mw".to_owned()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_single_move_of_a_row_to_another_centre_is_better(
        values in prop::collection::vec((-5.0..5.0_f64, -5.0..5.0_f64), 8..60),
        seed in 0_u64..1000,
    ) {
        let rows: Vec<FeatureValues> = values.iter().map(|(a, b)| row([*a, *b])).collect();
        let model = train(&names(), &rows, KMeansParams { restarts: 2, ..KMeansParams::new(3, 0.9) }, seed).unwrap();
        // Each centre is the mean of the rows that are nearest to it.
        let mut sums = vec![(0.0, [0.0; 2]); model.centres.len()];
        for row in &rows {
            let point = model.point(row);
            let (centre, _) = model.nearest(&point);
            sums[centre].0 += 1.0;
            sums[centre].1[0] += point[0];
            sums[centre].1[1] += point[1];
        }
        for (centre, (count, sum)) in model.centres.iter().zip(sums) {
            for (at, sum) in centre.0.iter().zip(sum) {
                prop_assert!(count > 0.0 && (at - sum / count).abs() < 1e-9, "{at} {sum} {count}");
            }
        }
    }

    #[test]
    fn damaged_bytes_are_an_error_or_a_model_that_can_score(at in 1_usize..500, with: u8, keep in 0_usize..500) {
        let mut bytes = BYTES.clone();
        let at = at % bytes.len();
        bytes[at] = with;
        bytes.truncate(keep.max(at));
        if let Ok(model) = KMeansModel::from_bytes(&bytes) {
            prop_assert!(model.distance(&row([1.0, 240.0])).is_finite());
        }
    }
}
