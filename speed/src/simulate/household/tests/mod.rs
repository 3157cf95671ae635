//! What the simulated household promises: the same seed, the same readings; a physics that adds up; and anomalies that
//! the detectors of its profile can find.

mod plausibility;
mod uci;

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    position::DeviceId,
    stream::{InjectedKind, StreamRegistry},
};

use super::{HouseholdOptions, HouseholdSimulator, SimulatedReading};
use crate::simulate::injector::Injection;

const NORMAL_LIFE: HouseholdOptions =
    HouseholdOptions { injection: Injection::NONE, missing_share: 0.0, utc_offset_minutes: 60 };

fn meter() -> DeviceId {
    DeviceId::parse("meter-0001").unwrap()
}

/// What the profile injects.
fn kinds() -> Vec<InjectedKind> {
    let profile = StreamRegistry::built_in().unwrap().find(&"household".parse().unwrap()).unwrap().clone();
    profile.injection.unwrap().kinds
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A reading a minute for some days from `from` on.
fn minutes(options: HouseholdOptions, seed: u64, from: &str, days: i64) -> impl Iterator<Item = SimulatedReading> {
    let (from, mut simulator) = (instant(from), HouseholdSimulator::new(meter(), seed, options, &kinds()));
    (0..days * 24 * 60).map(move |minute| simulator.next_reading(from + TimeDelta::minutes(minute)))
}
