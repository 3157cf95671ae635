//! Meters of a distribution grid: 240 V that wander by a few volts, a load that follows the day.
//!
//! Calibrated on the generator of the system that this profile stands in for: 240 V with a standard deviation of 5 V
//! over all meters, 10 A, 25 degrees. Here a part of that belongs to the meter and a part to the hour, as on a real feeder.

use chrono::{DateTime, Timelike, Utc};
use kilowatch_shared::log::NewRecord;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{
    SimulationOptions,
    fleet::Device,
    injector::Injector,
    noise::{Noise, normal},
    record::record,
    steps::{Steps, device_rng, rounded},
};

/// What can be injected: both add volts to what the meter would have shown, for minutes or for a few readings.
pub(super) const EFFECTS: [&str; 2] = ["over_voltage", "voltage_spike"];

const NOMINAL_VOLTS: f64 = 240.0;

/// The payload, in the order that its users know.
#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "meterId")]
    meter_id: &'a str,
    timestamp: i64,
    voltage: f64,
    current: f64,
    temperature: f64,
    status: &'static str,
}

/// One meter.
#[derive(Debug)]
pub(super) struct GridMeter {
    id: String,
    rng: ChaCha8Rng,
    steps: Steps,
    /// What this meter's place in the feeder adds.
    place_volts: f64,
    feeder: Noise,
    load: Noise,
    heat: Noise,
    injector: Injector,
}

impl GridMeter {
    /// The meter of that number, from 0 on.
    pub(super) fn new(number: u32, options: &SimulationOptions) -> Self {
        let id = format!("meter-{number:04}");
        let mut rng = device_rng(options.seed, &id);
        Self {
            place_volts: normal(&mut rng).clamp(-2.0, 2.0),
            feeder: Noise::new(1.5, 60.0),
            load: Noise::new(1.0, 30.0),
            heat: Noise::new(1.5, 240.0),
            injector: Injector::new(&EFFECTS, &options.kinds, options.injection),
            steps: Steps::default(),
            id,
            rng,
        }
    }
}

impl Device for GridMeter {
    fn next_record(&mut self, at: DateTime<Utc>) -> Result<NewRecord, serde_json::Error> {
        let minutes = self.steps.minutes_to(at);
        let rng = &mut self.rng;
        // Most load in the evening, which pulls the voltage down.
        let day = std::f64::consts::TAU * f64::from(at.num_seconds_from_midnight()) / 86_400.0;
        let evening = (day - std::f64::consts::TAU * 19.0 / 24.0).cos();
        let current = (10.0 + 2.0 * evening + self.load.step(minutes, rng)).max(0.0);
        let wander = self.place_volts + self.feeder.step(minutes, rng) + 2.0 * normal(rng) - evening;
        let temperature = 25.0 + 3.0 * evening + self.heat.step(minutes, rng);
        let injected = self.injector.step(rng);
        let voltage = NOMINAL_VOLTS + wander + injected.map_or(0.0, |injected| injected.size);
        let payload = Payload {
            meter_id: &self.id,
            timestamp: at.timestamp_millis(),
            voltage: rounded(voltage, 1),
            current: rounded(current, 1),
            temperature: rounded(temperature, 1),
            status: "normal",
        };
        Ok(record(&self.id, serde_json::to_vec(&payload)?, injected.map(|injected| injected.name)))
    }
}
