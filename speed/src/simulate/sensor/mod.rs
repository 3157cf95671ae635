//! Numbered sensors: a temperature that follows day and season, a pressure that follows the weather.

use chrono::{DateTime, Datelike, Timelike, Utc};
use kilowatch_shared::log::NewRecord;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{
    SimulationOptions,
    fleet::Device,
    injector::Injector,
    noise::{Noise, normal},
    record::{python_iso, record},
    steps::{Steps, device_rng, rounded},
};

/// What can be injected: degrees more, kPa more.
pub(super) const EFFECTS: [&str; 2] = ["overheating", "overpressure"];

/// The payload, in the order that its users know.
#[derive(Serialize)]
struct Payload {
    sensor_id: u32,
    temperature: f64,
    pressure: f64,
    timestamp: String,
}

/// One sensor.
#[derive(Debug)]
pub(super) struct Sensor {
    number: u32,
    rng: ChaCha8Rng,
    steps: Steps,
    heat: Noise,
    weather: Noise,
    injector: Injector,
}

impl Sensor {
    /// The sensor of that number.
    pub(super) fn new(number: u32, options: &SimulationOptions) -> Self {
        Self {
            number,
            rng: device_rng(options.seed, &number.to_string()),
            steps: Steps::default(),
            heat: Noise::new(1.0, 120.0),
            weather: Noise::new(2.0, 1440.0),
            injector: Injector::new(&EFFECTS, &options.kinds, options.injection),
        }
    }
}

impl Device for Sensor {
    fn next_record(&mut self, at: DateTime<Utc>) -> Result<NewRecord, serde_json::Error> {
        let minutes = self.steps.minutes_to(at);
        let rng = &mut self.rng;
        let day = std::f64::consts::TAU * (f64::from(at.num_seconds_from_midnight()) / 86_400.0 - 15.0 / 24.0);
        let year = std::f64::consts::TAU * (f64::from(at.ordinal0()) - 200.0) / 365.25;
        let temperature = 24.0 + 4.0 * day.cos() + 3.0 * year.cos() + self.heat.step(minutes, rng) + 0.3 * normal(rng);
        let pressure = 101.3 + self.weather.step(minutes, rng) + 0.2 * normal(rng);
        let injected = self.injector.step(rng);
        let (hotter, denser) = match injected {
            Some(injected) if injected.index == 0 => (injected.size, 0.0),
            Some(injected) => (0.0, injected.size),
            None => (0.0, 0.0),
        };
        let payload = Payload {
            sensor_id: self.number,
            temperature: rounded(temperature + hotter, 2),
            pressure: rounded(pressure + denser, 2),
            // Its producers write UTC without saying so.
            timestamp: python_iso(at, ""),
        };
        let key = self.number.to_string();
        Ok(record(&key, serde_json::to_vec(&payload)?, injected.map(|injected| injected.name)))
    }
}
