//! Floors of university buildings: electricity and water by the hour of the day, the building and the floor.
//!
//! Levels are those of the generator of the system that this profile stands in for: 95 kWh and 180 L a reading, a fifth
//! more by day and a fifth less at night, a third more at noon, and up to 85 kWh and 170 L beyond that at random. Here the
//! random part has a memory of two minutes, since people and machines do not come and go with every second.

use chrono::{DateTime, Datelike, FixedOffset, Offset, Timelike, Utc, Weekday};
use kilowatch_shared::{log::NewRecord, stream::decode::joined_key};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{
    SimulationOptions,
    fleet::Device,
    injector::{Injected, Injector},
    noise::Noise,
    record::{python_iso, record},
    steps::{Steps, device_rng, rounded},
};

/// Floors of a building.
pub(super) const FLOORS: u32 = 5;

/// Minutes after which little is left of what was random in a reading.
const MEMORY_MINUTES: f64 = 2.0;

/// What can be injected: kWh more, litres more, a share of both that is not counted.
pub(super) const EFFECTS: [&str; 3] = ["electricity_surge", "water_leak", "meter_dropout"];

/// The payload, in the order that its users know.
#[derive(Serialize)]
struct Payload<'a> {
    building: &'a str,
    floor: u32,
    electricity_kwh: f64,
    water_l: f64,
    timestamp: String,
}

/// One floor.
#[derive(Debug)]
pub(super) struct Floor {
    building: String,
    floor: u32,
    device: String,
    /// What building and floor make of the usual.
    factor: f64,
    zone: FixedOffset,
    rng: ChaCha8Rng,
    steps: Steps,
    electricity: Noise,
    water: Noise,
    injector: Injector,
}

impl Floor {
    /// The floor of that number, counted through all buildings from 0 on.
    pub(super) fn new(number: u32, options: &SimulationOptions) -> Self {
        let (building, floor) = (number / FLOORS, number % FLOORS + 1);
        let factor = (1.0 + 0.05 * f64::from(building % 5)) * (1.0 + 0.02 * f64::from(floor - 1));
        let building = match u8::try_from(building) {
            Ok(place) if place < 26 => format!("Building {}", char::from(b'A' + place)),
            _ => format!("Building {}", building + 1),
        };
        let device = joined_key([building.as_str(), &floor.to_string()].into_iter());
        Self {
            factor,
            zone: FixedOffset::east_opt(options.utc_offset_minutes.saturating_mul(60)).unwrap_or_else(|| Utc.fix()),
            rng: device_rng(options.seed, &device),
            steps: Steps::default(),
            electricity: Noise::new(1.0, MEMORY_MINUTES),
            water: Noise::new(1.0, MEMORY_MINUTES),
            injector: Injector::new(&EFFECTS, &options.kinds, options.injection),
            building,
            floor,
            device,
        }
    }
}

impl Device for Floor {
    fn next_record(&mut self, at: DateTime<Utc>) -> Result<NewRecord, serde_json::Error> {
        let minutes = self.steps.minutes_to(at);
        let rng = &mut self.rng;
        let usual = self.factor * busy(at.with_timezone(&self.zone));
        let electricity_kwh = 95.0 * usual + 85.0 * share(self.electricity.step(minutes, rng));
        let water_l = 180.0 * usual + 170.0 * share(self.water.step(minutes, rng));
        let injected = self.injector.step(rng);
        let (electricity_kwh, water_l) = altered(electricity_kwh, water_l, injected.as_ref());
        let payload = Payload {
            building: &self.building,
            floor: self.floor,
            electricity_kwh: rounded(electricity_kwh, 2),
            water_l: rounded(water_l, 2),
            timestamp: python_iso(at, "+00:00"),
        };
        Ok(record(&self.device, serde_json::to_vec(&payload)?, injected.map(|injected| injected.name)))
    }
}

fn altered(electricity_kwh: f64, water_l: f64, injected: Option<&Injected>) -> (f64, f64) {
    match injected.map(|injected| (injected.index, injected.size)) {
        Some((0, size)) => (electricity_kwh + size, water_l),
        Some((1, size)) => (electricity_kwh, water_l + size),
        Some((_, size)) => {
            let left = (1.0 - size).max(0.0);
            (electricity_kwh * left, water_l * left)
        }
        None => (electricity_kwh, water_l),
    }
}

/// How busy the hour is, around 1.
fn busy(at: DateTime<FixedOffset>) -> f64 {
    let hour = at.hour();
    let day = if (7..=19).contains(&hour) { 1.2 } else { 0.8 };
    let noon = if (12..=14).contains(&hour) { 1.3 } else { 1.0 };
    let weekend = if matches!(at.weekday(), Weekday::Sat | Weekday::Sun) { 0.8 } else { 1.0 };
    day * noon * weekend
}

/// A standard normal number as a share of 0 to 1 that is nearly uniform: the logistic curve of Bowling et al. (2009).
fn share(normal: f64) -> f64 {
    1.0 / (1.0 + (-1.702 * normal).exp())
}
