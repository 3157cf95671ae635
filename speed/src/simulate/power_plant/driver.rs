//! What drives a plant, and what a new plant would put out with it, as a share of its capacity.

use std::f64::consts::TAU;

use chrono::{DateTime, Datelike, Timelike, Utc};
use rand_chacha::ChaCha8Rng;

use crate::simulate::noise::Noise;

/// The four kinds of plants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlantKind {
    Gas,
    Wind,
    Solar,
    Hydro,
}

impl PlantKind {
    pub(super) const ALL: [Self; 4] = [Self::Gas, Self::Wind, Self::Solar, Self::Hydro];

    /// The name in the payload.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Gas => "gas",
            Self::Wind => "wind",
            Self::Solar => "solar",
            Self::Hydro => "hydro",
        }
    }

    /// Capacity of the first plant of the kind in MW.
    pub(super) const fn capacity_mw(self) -> f64 {
        match self {
            Self::Gas => 120.0,
            Self::Wind => 60.0,
            Self::Solar => 40.0,
            Self::Hydro => 80.0,
        }
    }

    /// The driver at which a plant of one MW gives all that it can, in the driver's unit; gas grows with the plant.
    pub(super) const fn full_scale(self) -> f64 {
        match self {
            Self::Gas => GAS_M3_H_PER_MW,
            Self::Wind => RATED_M_S,
            Self::Solar => FULL_SUN_W_M2,
            Self::Hydro => FULL_FLOW_M3_S,
        }
    }
}

/// Natural gas of a megawatt hour: 3.6 GJ at an efficiency of 0.4 and 38 MJ a cubic metre.
const GAS_M3_H_PER_MW: f64 = 237.0;
const CUT_IN_M_S: f64 = 3.0;
const RATED_M_S: f64 = 12.0;
const CUT_OUT_M_S: f64 = 25.0;
const FULL_SUN_W_M2: f64 = 1000.0;
const FULL_FLOW_M3_S: f64 = 180.0;
const LATITUDE_DEGREES: f64 = 45.0;

/// A driver that remembers its weather.
#[derive(Debug)]
pub(super) struct Driver {
    kind: PlantKind,
    weather: Noise,
}

impl Driver {
    pub(super) const fn new(kind: PlantKind) -> Self {
        // Standard deviation and memory in minutes: demand changes within the hour, wind and clouds in hours, rivers in
        // days.
        let weather = match kind {
            PlantKind::Gas => Noise::new(0.05, 60.0),
            PlantKind::Wind => Noise::new(3.0, 360.0),
            PlantKind::Solar => Noise::new(1.0, 180.0),
            PlantKind::Hydro => Noise::new(0.12, 4320.0),
        };
        Self { kind, weather }
    }

    /// The driver in its unit, for gas a MW of capacity, and the share of the capacity that it gives.
    pub(super) fn step(&mut self, at: DateTime<Utc>, minutes: f64, rng: &mut ChaCha8Rng) -> (f64, f64) {
        let weather = self.weather.step(minutes, rng);
        let hour = f64::from(at.num_seconds_from_midnight()) / 3600.0;
        let year = f64::from(at.ordinal0()) / 365.25;
        match self.kind {
            PlantKind::Gas => {
                // Peaks in the morning and the evening, and in winter.
                let day = -0.12 * (TAU * hour / 24.0).cos() - 0.08 * (TAU * (hour - 3.0) / 12.0).cos();
                let share = (0.6 + day + 0.1 * (TAU * year).cos() + weather).clamp(0.2, 1.0);
                (share * GAS_M3_H_PER_MW, share)
            }
            PlantKind::Wind => {
                let mean = 7.5 + 1.5 * (TAU * year).cos() + 0.5 * (TAU * (hour - 15.0) / 24.0).cos();
                let speed = (mean + weather).max(0.0);
                (speed, power_curve(speed))
            }
            PlantKind::Solar => {
                let clear = 1050.0 * sun_height(hour, year).max(0.0).powf(1.15);
                // Mostly bright, now and then down to a quarter.
                let sky = 0.25 + 0.75 / (1.0 + (-1.0 - 1.5 * weather).exp());
                let irradiance = clear * sky;
                (irradiance, irradiance / FULL_SUN_W_M2)
            }
            PlantKind::Hydro => {
                // The snow melts in May.
                let flow = 120.0 * (1.0 + 0.3 * (TAU * (year - 0.38)).cos()) * weather.exp();
                (flow, (flow / FULL_FLOW_M3_S).min(1.0))
            }
        }
    }
}

/// Share of the rated power at a wind speed.
fn power_curve(speed_m_s: f64) -> f64 {
    if !(CUT_IN_M_S..CUT_OUT_M_S).contains(&speed_m_s) {
        return 0.0;
    }
    ((speed_m_s - CUT_IN_M_S) / (RATED_M_S - CUT_IN_M_S)).min(1.0).powf(2.0)
}

/// Sine of the sun's height over the horizon. Source: Duffie and Beckman (2013), "Solar Engineering of Thermal
/// Processes", equations 1.6.1a and 1.6.5.
fn sun_height(hour: f64, year: f64) -> f64 {
    let declination = 23.45_f64.to_radians() * (TAU * (284.0 / 365.0 + year)).sin();
    let latitude = LATITUDE_DEGREES.to_radians();
    let hour_angle = TAU * (hour - 12.0) / 24.0;
    latitude.sin() * declination.sin() + latitude.cos() * declination.cos() * hour_angle.cos()
}
