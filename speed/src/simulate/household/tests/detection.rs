//! How well the profile's detectors find what is injected: measured, with honest lower bounds.

use std::collections::BTreeMap;

use bytes::Bytes;
use kilowatch_shared::{
    checkpoint::Pins,
    detect::{Folded, ModelSet, PartitionFold, isolation_forest},
    log::LogRecord,
    model::ModelId,
    position::{Offset, PartitionId, SourceId},
    stream::{DetectorConfig, StreamProfile, StreamRegistry},
};

use super::*;
use crate::simulate::household::to_record;

/// True and false alarms of one detector.
#[derive(Debug, Default)]
struct Tally {
    true_alarms: u32,
    false_alarms: u32,
    found_by_kind: BTreeMap<String, u32>,
}

fn household() -> StreamProfile {
    let registry = StreamRegistry::built_in().unwrap();
    registry.iter().find(|profile| profile.name.as_str() == "household").unwrap().clone()
}

fn record(reading: &SimulatedReading, offset: u64) -> LogRecord {
    let record = to_record(reading).unwrap();
    LogRecord {
        offset: Offset::new(offset),
        key: record.key,
        payload: record.payload,
        headers: record.headers,
        timestamp: reading.event_time,
    }
}

/// A forest of the profile's features over sixty days without anomalies.
fn forest(profile: &StreamProfile) -> (Pins, ModelSet) {
    let config = profile.detectors.iter().find_map(|detector| match detector {
        DetectorConfig::IsolationForest(config) => Some(config),
        DetectorConfig::ThreeSigma(_) => None,
    });
    let config = config.unwrap();
    let mut values = Vec::new();
    for reading in minutes(HouseholdOptions::history(), 11, "2026-01-01T00:00:00Z", 60) {
        let payload = to_record(&reading).unwrap().payload.unwrap();
        let decoded = kilowatch_shared::stream::Decoder::new(profile).decode(&payload).unwrap();
        let feature = |name: &String| decoded.measures[profile.measure_index(name).unwrap()].unwrap_or(f64::NAN);
        values.extend(config.features.iter().map(feature));
    }
    let rows = isolation_forest::TrainingRows { features: &config.features, values: &values };
    let model =
        isolation_forest::train(rows, isolation_forest::ForestParams::default(), config.alarm_quantile, 1).unwrap();
    let bytes = Bytes::from(model.to_bytes().unwrap());
    let id = ModelId::of(&bytes);
    let pins = Pins::of_this_build(profile, BTreeMap::from([(config.name.clone(), id.clone())]));
    (pins, ModelSet::from_iter([(id, bytes)]))
}

#[test]
fn both_detectors_find_most_of_what_they_can_see_and_seldom_cry_wolf() {
    let (pins, models) = forest(&household());
    let partition = PartitionId {
        stream: pins.profile.name.clone(),
        source: SourceId::parse("log:test:energy-stream").unwrap(),
        partition: 0,
    };
    let mut fold = PartitionFold::try_new(partition, &pins, &models).unwrap();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut injected: BTreeMap<String, u32> = BTreeMap::new();
    let mut total = 0_u32;
    let days = minutes(HouseholdOptions::live(), 12, "2026-03-02T00:00:00Z", 21);
    for (offset, reading) in days.enumerate() {
        total += 1;
        let truth = reading.injected.map(|kind| kind.as_str().to_owned());
        if let Some(kind) = &truth {
            *injected.entry(kind.clone()).or_default() += 1;
        }
        let Folded::Reading { anomalies, .. } = fold.fold(&record(&reading, offset as u64)) else { panic!("poison") };
        for anomaly in anomalies {
            let tally = tallies.entry(anomaly.verdict.detector).or_default();
            match &truth {
                Some(kind) => {
                    tally.true_alarms += 1;
                    *tally.found_by_kind.entry(kind.clone()).or_default() += 1;
                }
                None => tally.false_alarms += 1,
            }
        }
    }
    let anomalous: u32 = injected.values().sum();
    let quality = |name: &str| {
        let tally = &tallies[name];
        let precision = f64::from(tally.true_alarms) / f64::from(tally.true_alarms + tally.false_alarms);
        let recall = f64::from(tally.true_alarms) / f64::from(anomalous);
        let false_rate = f64::from(tally.false_alarms) / f64::from(total - anomalous);
        println!(
            "{name}: precision {precision:.3}, recall {recall:.3}, false alarms {false_rate:.4} of normal readings"
        );
        println!("  found {:?} of {injected:?}", tally.found_by_kind);
        (precision, recall)
    };
    let (precision, recall) = quality("three_sigma");
    assert!(precision > 0.85 && recall > 0.55, "three-sigma: precision {precision}, recall {recall}");
    let (precision, recall) = quality("isolation_forest");
    assert!(precision > 0.6 && recall > 0.25, "isolation forest: precision {precision}, recall {recall}");
}
