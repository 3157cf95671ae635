//! How well the profile's detectors find what is injected: measured, with honest lower bounds.

use std::collections::BTreeMap;

use bytes::Bytes;
use kilowatch_shared::{
    checkpoint::Pins,
    detect::{Folded, ModelSet, PartitionFold, isolation_forest},
    log::LogRecord,
    model::ModelId,
    position::{Offset, PartitionId, SourceId},
    stream::{KernelConfig, StreamProfile, StreamRegistry},
};

use super::*;
use crate::simulate::household::{
    InjectedAnomaly::{self, Dropout, Stuck},
    to_record,
};

/// The readings on which any of the detectors raised an alarm.
const EITHER: &str = "either";

/// Alarms on a labelled stream.
#[derive(Debug, Default)]
struct Scores {
    injected_by_kind: BTreeMap<&'static str, u32>,
    tallies: BTreeMap<String, Tally>,
}

/// True and false alarms of one detector.
#[derive(Debug, Default)]
struct Tally {
    false_alarms: u32,
    found_by_kind: BTreeMap<&'static str, u32>,
}

/// What a detector is worth.
#[derive(Debug)]
struct Quality {
    precision: f64,
    recall: f64,
    recall_by_kind: BTreeMap<&'static str, f64>,
}

impl Scores {
    fn add(&mut self, injected: Option<InjectedAnomaly>, alarms: &[&str]) {
        let kind = injected.map(InjectedAnomaly::as_str);
        if let Some(kind) = kind {
            *self.injected_by_kind.entry(kind).or_default() += 1;
        }
        let either = (!alarms.is_empty()).then_some(EITHER);
        for detector in alarms.iter().copied().chain(either) {
            let tally = self.tallies.entry(detector.to_owned()).or_default();
            match kind {
                Some(kind) => *tally.found_by_kind.entry(kind).or_default() += 1,
                None => tally.false_alarms += 1,
            }
        }
    }

    fn of(&self, detector: &str) -> Quality {
        let tally = &self.tallies[detector];
        let (found, injected): (u32, u32) = (tally.found_by_kind.values().sum(), self.injected_by_kind.values().sum());
        let share = |part: u32, whole: u32| f64::from(part) / f64::from(whole);
        let found_of = |kind: &str| tally.found_by_kind.get(kind).copied().unwrap_or_default();
        Quality {
            precision: share(found, found + tally.false_alarms),
            recall: share(found, injected),
            recall_by_kind: self.injected_by_kind.iter().map(|(kind, n)| (*kind, share(found_of(kind), *n))).collect(),
        }
    }
}

/// The household without cool-downs: a detector is then in an episode exactly when it judges a reading to be unusual.
fn household() -> StreamProfile {
    let registry = StreamRegistry::built_in().unwrap();
    let mut profile = registry.iter().find(|profile| profile.name.as_str() == "household").unwrap().clone();
    profile.detectors.iter_mut().for_each(|detector| detector.cool_down_secs = 0);
    profile
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
    let config = profile.detectors.iter().find_map(|detector| match &detector.kernel {
        KernelConfig::IsolationForest(config) => Some((&detector.name, config)),
        _ => None,
    });
    let (name, config) = config.unwrap();
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
    let pins = Pins::of_this_build(profile, BTreeMap::from([(name.clone(), id.clone())]));
    (pins, ModelSet::from_iter([(id, bytes)]))
}

#[test]
fn the_profiles_detectors_find_most_of_what_is_injected_and_seldom_cry_wolf() {
    let score = judged_days();
    for detector in ["three_sigma", "isolation_forest", EITHER] {
        println!("{detector}: {:.3?}", score.of(detector));
    }
    let three_sigma = score.of("three_sigma");
    assert!(three_sigma.precision > 0.9 && three_sigma.recall > 0.72, "{three_sigma:?}");
    let forest = score.of("isolation_forest");
    assert!(forest.precision > 0.6 && forest.recall > 0.25, "{forest:?}");

    let either = score.of(EITHER);
    assert!(either.precision > 0.75 && either.recall > 0.75, "{either:?}");
    // A dropout shows values that the house has at night, a stuck meter the ones that it had: neither detector is made
    // for them, and what is found of them is luck.
    for kind in InjectedAnomaly::ALL.into_iter().filter(|kind| !matches!(kind, Dropout | Stuck)) {
        let recall = either.recall_by_kind[kind.as_str()];
        assert!(recall > 0.85, "{kind}: {recall}");
    }
}

fn judged_days() -> Scores {
    let (pins, models) = forest(&household());
    let partition = PartitionId {
        stream: pins.profile.name.clone(),
        source: SourceId::parse("log:test:energy-stream").unwrap(),
        partition: 0,
    };
    let mut fold = PartitionFold::try_new(partition, &pins, &models).unwrap();
    let mut scores = Scores::default();
    // Detectors that are in an episode, by the id of the anomaly that opened it.
    let mut alarming: BTreeMap<String, String> = BTreeMap::new();
    let days = minutes(HouseholdOptions::live(), 12, "2026-03-02T00:00:00Z", 21);
    for (offset, reading) in days.enumerate() {
        let Folded::Reading { anomalies, ended, .. } = fold.fold(&record(&reading, offset as u64)) else {
            panic!("poison")
        };
        ended.iter().for_each(|ended| drop(alarming.remove(&ended.anomaly_id)));
        alarming.extend(anomalies.into_iter().map(|anomaly| (anomaly.id, anomaly.verdict.detector)));
        // A gap in the meter's record is judged by nobody, so an episode goes on over it.
        let judged = reading.measures.is_some();
        let alarms: Vec<&str> = alarming.values().filter(|_| judged).map(String::as_str).collect();
        scores.add(reading.injected, &alarms);
    }
    scores
}
