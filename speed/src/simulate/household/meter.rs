//! From loads to what the meter shows: values that fit together as in the real household.

use rand_chacha::ChaCha8Rng;

use super::{
    appliance::{Appliance, ApplianceKind},
    calibration::{self, LocalHour},
};
use crate::simulate::noise::Noise;

/// Volts that the house's own current takes from the voltage, per ampere; a regression of the minutes' differences.
const VOLTS_PER_AMPERE: f64 = 0.25;

/// Wh per minute of a load of one kW.
const WH_PER_MINUTE_AND_KW: f64 = 1000.0 / 60.0;

/// Reactive power below this is shown as 0, as a quarter of the real minutes are.
const LEAST_REACTIVE_KVAR: f64 = 0.046;

/// What one reading shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HouseholdMeasures {
    /// Mean active power in kW.
    pub active_power: f64,
    /// Mean reactive power in kvar.
    pub reactive_power: f64,
    /// Mean voltage in V.
    pub voltage: f64,
    /// Mean current in A.
    pub current: f64,
    /// Kitchen, in Wh of the minute.
    pub sub_metering_1: f64,
    /// Laundry, in Wh of the minute.
    pub sub_metering_2: f64,
    /// Water heater and air conditioner, in Wh of the minute.
    pub sub_metering_3: f64,
}

/// The house behind the meter.
#[derive(Debug, Clone)]
pub(super) struct House {
    kitchen: Appliance,
    laundry: Appliance,
    refrigerator: Appliance,
    water: Appliance,
    heating: Appliance,
    base: Noise,
    reactive: Noise,
    grid_slow: Noise,
    grid_fast: Noise,
}

impl House {
    /// Levels and lengths are those of the minutes of 2007. Water and heating run for one or several hours there; their
    /// episodes are shorter here, so that they follow the hours of the day as the means do.
    pub(super) fn new() -> Self {
        let appliance = |mean, level_wh, level_spread, ripple_wh, episode_minutes| {
            Appliance::new(ApplianceKind { mean, level_wh, level_spread, ripple_wh, episode_minutes })
        };
        Self {
            kitchen: appliance(calibration::KITCHEN, 33.0, 0.12, 2.0, 8.5),
            laundry: appliance(calibration::LAUNDRY, 29.0, 0.25, 4.0, 21.0),
            refrigerator: appliance(calibration::REFRIGERATOR, 1.35, 0.15, 0.2, 22.0),
            water: appliance(calibration::WATER, 17.4, 0.02, 0.6, 50.0),
            heating: appliance(calibration::HEATING, 22.0, 0.35, 0.8, 40.0),
            base: Noise::new(0.30, 12.0),
            reactive: Noise::new(0.095, 18.0),
            grid_slow: Noise::new(2.6, 900.0),
            grid_fast: Noise::new(1.4, 14.0),
        }
    }

    /// What the meter shows `minutes` after the last time.
    pub(super) fn step(&mut self, at: LocalHour, minutes: f64, rng: &mut ChaCha8Rng) -> HouseholdMeasures {
        let kitchen = self.kitchen.step(at, minutes, rng).round();
        let refrigerator = self.refrigerator.step(at, minutes, rng);
        let laundry = (self.laundry.step(at, minutes, rng) + refrigerator).round();
        let water = self.water.step(at, minutes, rng).round();
        // exp(sd^2 / 2) is the mean of the log-normal factor.
        let base = calibration::BASE.mean(at) * (self.base.step(minutes, rng) - 0.045).exp();
        let rest = base.max(1.0) + self.heating.step(at, minutes, rng);
        let active_power = to_step((kitchen + laundry + water + rest) / WH_PER_MINUTE_AND_KW, 0.002);
        let compressor = if refrigerator > 0.0 { 0.06 } else { -0.03 };
        let reactive = calibration::REACTIVE.mean(at) + compressor + self.reactive.step(minutes, rng);
        let reactive_power = if reactive < LEAST_REACTIVE_KVAR { 0.0 } else { to_step(reactive, 0.002) };
        let expected = calibration::mean_load(at) / WH_PER_MINUTE_AND_KW;
        let own_load_amperes = (active_power - expected) * 1000.0 / calibration::mean_voltage(at);
        let grid = self.grid_slow.step(minutes, rng) + self.grid_fast.step(minutes, rng);
        let voltage = calibration::mean_voltage(at) + grid - VOLTS_PER_AMPERE * own_load_amperes;
        let measures = HouseholdMeasures {
            active_power,
            reactive_power,
            voltage: to_step(voltage, 0.01),
            current: 0.0,
            sub_metering_1: kitchen,
            sub_metering_2: laundry,
            sub_metering_3: water,
        };
        measures.with_fitting_current()
    }
}

impl HouseholdMeasures {
    /// The current that apparent power and voltage ask for, in the meter's steps of 0.2 A.
    #[must_use]
    pub fn with_fitting_current(self) -> Self {
        let apparent_kva = self.active_power.hypot(self.reactive_power);
        Self { current: to_step(apparent_kva * 1000.0 / self.voltage, 0.2), ..self }
    }

    /// Adds active power, with the current and the voltage drop that come with it.
    pub(super) fn with_more_power(self, kw: f64) -> Self {
        let drop = VOLTS_PER_AMPERE * kw * 1000.0 / self.voltage;
        let active_power = to_step(self.active_power + kw, 0.002);
        Self { active_power, voltage: to_step(self.voltage - drop, 0.01), ..self }.with_fitting_current()
    }
}

/// The nearest multiple of a meter's resolution, without the dust of binary fractions.
pub(super) fn to_step(value: f64, step: f64) -> f64 {
    ((value / step).round() * step * 1000.0).round() / 1000.0
}
