//! What the built-in profiles promise of their detectors at full size, on seeds that nobody tuned with. The table of
//! docs/DETECTORS.md comes from longer stretches of the same seeds, by the bench
//! `how_much_of_what_is_injected_do_the_detectors_find`.

use std::collections::BTreeMap;

use super::*;
use crate::simulate::{
    quality::Quality,
    trial::{self, Stretch, TOGETHER},
};

/// By detector.
type Qualities = BTreeMap<String, Quality>;

/// Profiles were tuned with training seed 1 and live seeds 2 to 4.
const TRAINING_SEED: u64 = 21;
const LIVE_SEED: u64 = 22;

/// Seconds between two readings, and readings of a device.
type Pace = (i64, u64);

#[test]
fn the_grids_moving_average_finds_its_anomalies() {
    promised(judged("grid", (10, 1), (10, 1_000)));
}

#[test]
fn the_sensors_thresholds_find_their_anomalies() {
    promised(judged("sensor", (10, 1), (10, 8_000)));
}

#[test]
fn the_campus_centres_find_their_anomalies() {
    // Five days and nights: a set of a weekend alone would make anomalies of Mondays.
    promised(judged("campus", (30, 13_333), (30, 3_000)));
}

#[test]
fn the_power_plants_forest_finds_its_anomalies_after_a_year_of_training() {
    // Every hour of the year, and quarter hours live.
    promised(judged("power-plant", (900, 365 * 96), (900, 30 * 96)));
}

#[test]
fn the_households_detectors_find_its_anomalies_each_and_together() {
    let mut qualities = judged("household", (60, 60 * 1440), (60, 14 * 1440));
    // A rule for two kinds, which the others do not see: it has to find these, and little else.
    let broken_meter = qualities.remove("broken_meter").unwrap();
    println!("household broken_meter: {broken_meter}");
    assert!(broken_meter.precision >= 0.9, "{broken_meter}");
    assert!(broken_meter.recall_by_kind["dropout"] >= 0.95, "{broken_meter}");
    let together = qualities[TOGETHER].clone();
    assert!(together.recall >= 0.95 && together.recall_by_kind.values().all(|recall| *recall >= 0.7), "{together}");
    promised(qualities);
}

/// Every detector finds four of five of its stream's anomalies, and three of five of its alarms are right; so do all together.
fn promised(qualities: Qualities) {
    for (detector, quality) in &qualities {
        println!("{detector}: {quality}");
        assert!(quality.injected >= 30, "{detector}: too few to say anything");
        assert!(quality.recall >= 0.8 && quality.precision >= 0.6, "{detector}: {quality}");
    }
}

fn judged(stream: &str, training: Pace, live: Pace) -> Qualities {
    let profile = profile(stream);
    let stretch = |seed, from, (interval_secs, rounds): Pace| Stretch {
        seed,
        from,
        interval: TimeDelta::seconds(interval_secs),
        rounds,
    };
    let history = TimeDelta::seconds(training.0 * training.1.cast_signed());
    let trained = trial::train(&profile, stretch(TRAINING_SEED, start() - history, training)).unwrap();
    let live = [stretch(LIVE_SEED, start(), live)];
    trial::judge(&profile, &trained, &live, Injection::live(&profile)).unwrap()
}
