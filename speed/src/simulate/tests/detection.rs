//! How well the detectors of each profile find what its own simulator injects.

use std::collections::BTreeMap;

use bytes::Bytes;
use kilowatch_shared::{
    checkpoint::Pins,
    detect::{
        Folded, KernelConfig, ModelSet, PartitionFold,
        features::{FeatureSet, FeatureState, FeatureValues},
        isolation_forest, kmeans,
    },
    log::LogRecord,
    model::ModelId,
    position::{Offset, PartitionId, SourceId},
};

use super::*;
use crate::simulate::quality::{Quality, Scoring};

#[test]
fn the_grids_moving_average_finds_its_anomalies() {
    judged("grid", "moving_average", 0, 1_500);
}

#[test]
fn the_sensors_thresholds_find_their_anomalies() {
    judged("sensor", "threshold", 0, 20_000);
}

#[test]
fn the_campus_centres_find_their_anomalies() {
    judged("campus", "kmeans", 4_000, 4_000);
}

#[test]
fn the_power_plants_forest_finds_its_anomalies_after_a_year_of_training() {
    judged("power-plant", "isolation_forest", 4 * 24 * 365, 4 * 24 * 60);
}

/// Full, half and double size; what is promised is promised at full size.
fn judged(stream: &str, detector: &str, training_rounds: u64, rounds: u64) {
    let profile = profile(stream);
    let (pins, models) = trained(&profile, training_rounds);
    let [half, full, double] = [0.5, 1.0, 2.0].map(|factor| {
        let share = SimulatedStream::find(stream).unwrap().anomaly_share;
        let quality = quality(&profile, detector, &pins, &models, Injection { share, factor }, rounds);
        println!("{stream} {detector} at size {factor}: {quality}");
        quality
    });
    assert!(full.recall >= 0.8 && full.precision >= 0.6, "{full:?}");
    assert!(half.recall <= full.recall + 0.02 && full.recall <= double.recall + 0.02, "{half:?} {full:?} {double:?}");
}

/// Models of the profile's learned detectors, from the training set that `up` would simulate.
fn trained(profile: &StreamProfile, rounds: u64) -> (Pins, ModelSet) {
    let simulated = SimulatedStream::find(profile.name.as_str()).unwrap();
    let (mut ids, mut models) = (BTreeMap::new(), Vec::new());
    for detector in &profile.detectors {
        let features = match &detector.kernel {
            KernelConfig::IsolationForest(config) => &config.features,
            KernelConfig::KMeans(config) => &config.features,
            _ => continue,
        };
        let set = FeatureSet::try_new(features.iter().map(String::as_str), profile).unwrap();
        let mut states: BTreeMap<String, FeatureState> = BTreeMap::new();
        let training = simulated.training.unwrap();
        let from = start() - training.interval * i32::try_from(rounds).unwrap();
        let injection = Injection::of_share(training.anomaly_share);
        let sent = run(profile.name.as_str(), 1, injection, from, training.interval, rounds);
        let decoder = Decoder::new(profile);
        let rows: Vec<FeatureValues> = sent
            .filter_map(|(_, record)| {
                let reading = decoder.decode(&record.payload.unwrap()).unwrap();
                set.take(states.entry(reading.device.to_string()).or_default(), &reading)
            })
            .collect();
        let bytes = match &detector.kernel {
            KernelConfig::IsolationForest(config) => {
                let values: Vec<f64> = rows.iter().flat_map(|row| &row[..set.len()]).copied().collect();
                let rows = isolation_forest::TrainingRows { features, values: &values };
                let params = isolation_forest::ForestParams::default();
                isolation_forest::train(rows, params, config.alarm_quantile, 1).unwrap().to_bytes().unwrap()
            }
            KernelConfig::KMeans(config) => {
                let params = kmeans::KMeansParams::new(config.clusters, config.alarm_quantile);
                kmeans::train(features, &rows, params, 1).unwrap().to_bytes().unwrap()
            }
            _ => continue,
        };
        let id = ModelId::of(&bytes);
        ids.insert(detector.name.clone(), id.clone());
        models.push((id, Bytes::from(bytes)));
    }
    (Pins::of_this_build(profile, ids), models.into_iter().collect())
}

/// Runs the fold over live readings at the interval of the history.
fn quality(
    profile: &StreamProfile,
    detector: &str,
    pins: &Pins,
    models: &ModelSet,
    injection: Injection,
    rounds: u64,
) -> Quality {
    let partition =
        PartitionId { stream: profile.name.clone(), source: SourceId::parse("log:test:topic").unwrap(), partition: 0 };
    let mut fold = PartitionFold::try_new(partition, pins, models).unwrap();
    let mut scoring = Scoring::default();
    // As in the training set, for a model that knows quarter hours; so the days of a campus are covered as well.
    let training = SimulatedStream::find(profile.name.as_str()).unwrap().training;
    let interval = TimeDelta::seconds(i64::from(profile.interval_secs));
    let interval = training.map_or(interval, |training| training.interval);
    for (offset, (at, record)) in run(profile.name.as_str(), 2, injection, start(), interval, rounds).enumerate() {
        let truth = truth(&record).map(str::to_owned);
        let record = LogRecord {
            offset: Offset::new(offset as u64),
            key: record.key,
            payload: record.payload,
            headers: record.headers,
            timestamp: at,
        };
        let Folded::Reading { reading, anomalies, ended } = fold.fold(&record) else { panic!("poison") };
        let device = reading.reading.device.as_str();
        scoring.reading(device, truth.as_deref());
        ended.iter().for_each(|end| scoring.alarm_ends(&end.anomaly_id));
        for anomaly in anomalies.iter().filter(|anomaly| anomaly.verdict.detector == detector) {
            scoring.alarm_begins(device, &anomaly.id);
        }
    }
    scoring.quality()
}
