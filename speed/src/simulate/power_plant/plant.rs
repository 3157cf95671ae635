//! A plant: its driver, its wear, and what its meter shows.

use chrono::{DateTime, Utc};
use kilowatch_shared::log::NewRecord;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::driver::{Driver, PlantKind};
use crate::simulate::{
    SimulationOptions,
    fleet::Device,
    injector::{Injected, Injector},
    noise::normal,
    record::{python_iso, record},
    steps::{Steps, device_rng, rounded},
};

/// What can be injected: an output off what the driver gives (less where it is high, more where it is low), a driver's
/// sensor that shows too much, an output above the capacity.
pub(in crate::simulate) const EFFECTS: [&str; 3] = ["output_mismatch", "driver_spike", "over_output"];

/// What the meter of the output wavers by, as a share of the capacity.
const METER_NOISE: f64 = 0.008;

/// Share of the output that wear has cost at the next overhaul, and the days between two of them.
const WEAR: f64 = 0.10;
const OVERHAUL_DAYS: f64 = 730.0;

/// The payload: only the quantity of the plant's own kind is there.
#[derive(Serialize)]
struct Payload<'a> {
    plant_id: &'a str,
    plant_type: &'static str,
    timestamp: String,
    output_mw: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    wind_speed_m_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    irradiance_w_m2: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    water_flow_m3_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gas_flow_m3_h: Option<f64>,
}

/// One plant.
#[derive(Debug)]
pub(in crate::simulate) struct Plant {
    id: String,
    kind: PlantKind,
    capacity_mw: f64,
    /// Days by which its overhauls lie apart from those of the others.
    overhaul_shift_days: f64,
    rng: ChaCha8Rng,
    steps: Steps,
    driver: Driver,
    injector: Injector,
}

impl Plant {
    /// The plant of that number, from 0 on; kinds take turns.
    pub(in crate::simulate) fn new(number: u32, options: &SimulationOptions) -> Self {
        let kinds = PlantKind::ALL.len() as u32;
        let kind = PlantKind::ALL[(number % kinds) as usize];
        let of_kind = number / kinds;
        let id = format!("{}-{:02}", kind.as_str(), of_kind + 1);
        Self {
            kind,
            // Every second plant is a smaller one.
            capacity_mw: kind.capacity_mw() * if of_kind.is_multiple_of(2) { 1.0 } else { 0.75 },
            overhaul_shift_days: 97.0 * f64::from(number),
            rng: device_rng(options.seed, &id),
            steps: Steps::default(),
            driver: Driver::new(kind),
            injector: Injector::new(&EFFECTS, &options.kinds, options.injection),
            id,
        }
    }

    /// What is left of the output that the driver would give a new plant.
    fn health(&self, at: DateTime<Utc>) -> f64 {
        let days = at.timestamp() as f64 / 86_400.0 + self.overhaul_shift_days;
        1.0 - WEAR * (days / OVERHAUL_DAYS).fract()
    }

    /// Driver and output in MW as an injected anomaly shows them.
    fn altered(&self, driver: f64, output_mw: f64, injected: &Injected) -> (f64, f64) {
        let capacity = self.capacity_mw;
        match injected.index {
            0 if output_mw > 0.5 * capacity => (driver, (output_mw - injected.size * capacity).max(0.0)),
            0 => (driver, output_mw + injected.size * capacity),
            1 => {
                let plant = if self.kind == PlantKind::Gas { capacity } else { 1.0 };
                (driver + injected.size * self.kind.full_scale() * plant, output_mw)
            }
            _ => (driver, capacity * (1.0 + injected.size)),
        }
    }
}

impl Device for Plant {
    fn next_record(&mut self, at: DateTime<Utc>) -> Result<NewRecord, serde_json::Error> {
        let minutes = self.steps.minutes_to(at);
        let (driver, share) = self.driver.step(at, minutes, &mut self.rng);
        let health = self.health(at);
        // Wear costs output, and of a gas plant gas: its output is what was asked for.
        let (driver, share) = match self.kind {
            PlantKind::Gas => (driver * self.capacity_mw / health, share),
            _ => (driver, share * health),
        };
        let noise = METER_NOISE * normal(&mut self.rng);
        let output_mw = if share > 0.0 { ((share + noise) * self.capacity_mw).max(0.0) } else { 0.0 };
        let injected = self.injector.step(&mut self.rng);
        let (driver, output_mw) = match &injected {
            Some(injected) => self.altered(driver, output_mw, injected),
            None => (driver, output_mw),
        };
        let of = |kind, decimals| (self.kind == kind).then(|| rounded(driver, decimals));
        let payload = Payload {
            plant_id: &self.id,
            plant_type: self.kind.as_str(),
            timestamp: python_iso(at, "+00:00"),
            output_mw: rounded(output_mw, 2),
            wind_speed_m_s: of(PlantKind::Wind, 2),
            irradiance_w_m2: of(PlantKind::Solar, 1),
            water_flow_m3_s: of(PlantKind::Hydro, 1),
            gas_flow_m3_h: of(PlantKind::Gas, 0),
        };
        Ok(record(&self.id, serde_json::to_vec(&payload)?, injected.map(|injected| injected.name)))
    }
}
