//! The fold over every kernel at once, cut and replayed anywhere.

use super::*;
use crate::{
    anomaly::Severity,
    detect::{
        DetectorConfig,
        features::{FeatureValues, MAX_FEATURES},
        isolation_forest::IsolationForestConfig,
        kmeans::{self, KMeansConfig, KMeansParams},
        moving_average::MovingAverageConfig,
        three_sigma::{HourOfWeekTrainer, ThreeSigmaConfig},
        threshold::{Comparison, Operator, ThresholdConfig},
    },
};

const FEATURES: [&str; 4] = ["active_power", "lag(active_power, 2)", "rolling_mean(active_power, 5)", "hour"];

/// A profile with every kernel, learned ones with a model, and other cool-downs and warm-ups.
fn every_kernel() -> (Pins, ModelSet) {
    let mut profile = profile();
    let features: Vec<String> = FEATURES.map(str::to_owned).to_vec();
    let measures = vec!["active_power".to_owned()];
    let three_sigma =
        |baseline| ThreeSigmaConfig { measures: measures.clone(), baseline, sigmas: 2.0, min_sd: BTreeMap::new() };
    let average = MovingAverageConfig {
        measure: "active_power".to_owned(),
        window_readings: 5,
        limit: Some(2.5),
        max_deviation: None,
        severity: Severity::Warning,
    };
    let over = Comparison { measure: "active_power".to_owned(), op: Operator::Above, value: 3.5 };
    let kernels = [
        KernelConfig::ThreeSigma(three_sigma(Baseline::Rolling { window_readings: 7 })),
        KernelConfig::ThreeSigma(three_sigma(Baseline::HourOfWeek { train_window_days: None })),
        KernelConfig::IsolationForest(IsolationForestConfig {
            features: features.clone(),
            alarm_quantile: 0.9,
            train_window_days: None,
            rows_per_tree: 64,
        }),
        KernelConfig::KMeans(KMeansConfig {
            features: features.clone(),
            clusters: 3,
            alarm_quantile: 0.9,
            trim_share: 0.1,
            fence: Some(1.5),
            train_window_days: None,
        }),
        KernelConfig::Threshold(ThresholdConfig { any: vec![over], all: Vec::new(), severity: Severity::Minor }),
        KernelConfig::MovingAverage(average.clone()),
        KernelConfig::MovingAverage(MovingAverageConfig { limit: None, max_deviation: Some(1.0), ..average }),
    ];
    profile.detectors = kernels
        .into_iter()
        .enumerate()
        .map(|(at, kernel)| DetectorConfig {
            name: format!("detector-{at}"),
            min_readings: [3, 0, 1, 0, 2, 0, 4][at],
            cool_down_secs: [0, 300, 0, 600, 120, 0, 180][at],
            kernel,
        })
        .collect();
    assert_eq!(crate::detect::detector_problems(&profile), Vec::<String>::new());
    let row = |i: u32| [f64::from(i % 400) / 100.0, f64::from(i % 397) / 100.0, 2.0, f64::from(i % 2)];
    let values: Vec<f64> = (0..600).flat_map(row).collect();
    let forest = train(
        TrainingRows { features: &features, values: &values },
        ForestParams { trees: 10, sample_size: 64 },
        0.9,
        1,
    );
    let rows: Vec<FeatureValues> = (0..600)
        .map(|i| {
            let mut values = [f64::NAN; MAX_FEATURES];
            values[..4].copy_from_slice(&row(i));
            values
        })
        .collect();
    let centres = kmeans::train(&features, &rows, KMeansParams::new(3, 0.9), 1).unwrap();
    let mut hours = HourOfWeekTrainer::try_new(&measures, &profile).unwrap();
    for device in 0..3 {
        for week in 0..4_u32 {
            for minute in 0..60 {
                let payload = payload(device, week * 7 * 1440 + minute, f64::from(minute % 5));
                hours.take(&Decoder::new(&profile).decode(payload.as_bytes()).unwrap()).unwrap();
            }
        }
    }
    let models = [hours.finish().to_bytes().unwrap(), forest.unwrap().to_bytes().unwrap(), centres.to_bytes().unwrap()]
        .map(|bytes| (ModelId::of(&bytes), Bytes::from(bytes)));
    let names = [1, 2, 3].map(|at| format!("detector-{at}"));
    let pinned = names.into_iter().zip(models.iter().map(|(id, _)| id.clone())).collect();
    (Pins::of_this_build(&profile, pinned), ModelSet::from_iter(models))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_kernel_judges_and_ends_alike_over_cuts_and_in_a_replay(
        messages in messages(),
        cuts in prop::collection::btree_set(0_usize..200, 0..8),
    ) {
        let (pins, models) = every_kernel();
        let fresh = || PartitionFold::try_new(partition(), &pins, &models).unwrap();
        let (mut whole, mut parts, mut replayed) = (fresh(), fresh(), fresh());
        for (at, message) in messages.iter().enumerate() {
            if cuts.contains(&at) {
                let state = parts.save().unwrap();
                parts = PartitionFold::restore(partition(), &pins, &models, &state).unwrap();
            }
            let folded = whole.fold(message);
            prop_assert_eq!(&folded, &parts.fold(message));
            if let Folded::Reading { reading, anomalies, ended } = folded {
                prop_assert_eq!(replayed.replay(&reading.in_partition(&partition())), Findings { anomalies, ended });
            }
        }
        prop_assert_eq!(whole.save().unwrap(), parts.save().unwrap());
        prop_assert_eq!(whole.save().unwrap(), replayed.save().unwrap());
    }
}

#[test]
fn every_kernel_is_heard() {
    let (pins, models) = every_kernel();
    let mut fold = PartitionFold::try_new(partition(), &pins, &models).unwrap();
    let (mut raised, mut ended) = (std::collections::BTreeSet::new(), 0);
    for minute in 0..60 {
        let power = if minute % 20 >= 15 { 60.0 } else { 1.0 + f64::from(minute % 3) / 10.0 };
        let message = record(u64::from(minute), Some(payload(1, minute, power)));
        if let Folded::Reading { anomalies, ended: over, .. } = fold.fold(&message) {
            raised.extend(anomalies.into_iter().map(|anomaly| anomaly.verdict.detector));
            ended += over.len();
        }
    }
    assert_eq!(raised.len(), 7, "{raised:?}");
    assert!(ended >= 7, "{ended}");
}
