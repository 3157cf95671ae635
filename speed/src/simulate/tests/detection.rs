//! How well the detectors of each profile find what its own simulator injects, counted by episodes: an injected episode
//! is found if an alarm is on during it, and an alarm is right if it is on during an injected one.

use std::{collections::BTreeMap, ops::Range};

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

/// Readings of one device, by their place in its own record.
type Spans = BTreeMap<String, Vec<Range<usize>>>;

/// What a detector is worth.
#[derive(Debug, Clone, Copy)]
struct Quality {
    recall: f64,
    precision: f64,
}

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
        println!("{stream} {detector} at size {factor}: {quality:.3?}");
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
    let (mut injected, mut alarms) = (Spans::new(), Spans::new());
    let mut kinds: BTreeMap<(String, usize), String> = BTreeMap::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    // The open alarms of each device, by their id.
    let mut open: BTreeMap<String, (String, usize)> = BTreeMap::new();
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
        let device = reading.reading.device.to_string();
        let place = places.entry(device.clone()).or_default();
        if let Some(kind) = truth {
            let spans = injected.entry(device.clone()).or_default();
            match spans.last_mut() {
                Some(span) if span.end == *place && kinds[&(device.clone(), span.start)] == kind => span.end += 1,
                _ => {
                    spans.push(*place..*place + 1);
                    kinds.insert((device.clone(), *place), kind);
                }
            }
        }
        for end in ended {
            if let Some((device, start)) = open.remove(&end.anomaly_id) {
                alarms.entry(device).or_default().push(start..*place);
            }
        }
        for anomaly in anomalies.into_iter().filter(|anomaly| anomaly.verdict.detector == detector) {
            open.insert(anomaly.id, (device.clone(), *place));
        }
        *place += 1;
    }
    for (device, start) in open.into_values() {
        let end = places[&device];
        alarms.entry(device).or_default().push(start..end);
    }
    for kind in SimulatedStream::find(profile.name.as_str()).unwrap().injects {
        let of_kind: Spans = injected
            .iter()
            .map(|(device, spans)| {
                let of_kind = |span: &&Range<usize>| kinds[&(device.clone(), span.start)] == kind.name;
                (device.clone(), spans.iter().filter(of_kind).cloned().collect())
            })
            .collect();
        println!("  {}: {:.3} found", kind.name, share_met(&of_kind, &alarms));
    }
    let number: usize = alarms.values().map(Vec::len).sum();
    println!("  {number} alarms, {} injected", injected.values().map(Vec::len).sum::<usize>());
    let recall = share_met(&injected, &alarms);
    // The return to normal is the end of an anomaly, and a jump like its beginning.
    injected.values_mut().flatten().for_each(|span| span.end += 1);
    Quality { recall, precision: share_met(&alarms, &injected) }
}

/// Share of the spans that overlap one of `others`.
fn share_met(spans: &Spans, others: &Spans) -> f64 {
    let met = |device: &String, span: &Range<usize>| {
        others
            .get(device)
            .is_some_and(|others| others.iter().any(|other| other.start < span.end && span.start < other.end))
    };
    let all = spans.values().map(Vec::len).sum::<usize>();
    let found = spans.iter().flat_map(|(device, spans)| spans.iter().filter(move |span| met(device, span))).count();
    found as f64 / all.max(1) as f64
}
