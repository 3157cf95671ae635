//! What is injected for the detectors to find, in episodes.

use std::fmt;

use kilowatch_shared::stream::InjectedKind;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::meter::{HouseholdMeasures, to_step};
use crate::simulate::injector::{Injection, Injector};

/// A kind of injected anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InjectedAnomaly {
    /// Several kW more than the house draws, with the current and the voltage drop of it.
    PowerSpike,
    /// The grid's voltage below the usual.
    VoltageSag,
    /// The grid's voltage above the usual.
    VoltageSwell,
    /// The meter shows no load at all.
    Dropout,
    /// The meter repeats what it showed before the episode.
    Stuck,
    /// The kitchen's sub-meter shows more energy than the whole house.
    SubMeterMismatch,
}

impl InjectedAnomaly {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::PowerSpike, Self::VoltageSag, Self::VoltageSwell, Self::Dropout, Self::Stuck, Self::SubMeterMismatch];

    /// The name that travels as ground truth.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PowerSpike => "power_spike",
            Self::VoltageSag => "voltage_sag",
            Self::VoltageSwell => "voltage_swell",
            Self::Dropout => "dropout",
            Self::Stuck => "stuck",
            Self::SubMeterMismatch => "sub_meter_mismatch",
        }
    }
}

impl fmt::Display for InjectedAnomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What can be injected, in the order of [`InjectedAnomaly::ALL`].
pub(in crate::simulate) const EFFECTS: [&str; 6] = {
    let mut names = [""; 6];
    let mut at = 0;
    while at < names.len() {
        names[at] = InjectedAnomaly::ALL[at].as_str();
        at += 1;
    }
    names
};

/// Injects episodes into the readings of a meter.
#[derive(Debug, Clone)]
pub(super) struct HouseholdInjector {
    injector: Injector,
    before: Option<HouseholdMeasures>,
    /// What a stuck meter repeats.
    frozen: Option<HouseholdMeasures>,
}

impl HouseholdInjector {
    pub(super) fn new(kinds: &[InjectedKind], injection: Injection) -> Self {
        Self { injector: Injector::new(&EFFECTS, kinds, injection), before: None, frozen: None }
    }

    /// The reading as it is to be shown, and what was done to it.
    pub(super) fn step(
        &mut self,
        shown: HouseholdMeasures,
        rng: &mut ChaCha8Rng,
    ) -> (HouseholdMeasures, Option<InjectedAnomaly>) {
        let before = self.before.replace(shown).unwrap_or(shown);
        let Some(injected) = self.injector.step(rng) else { return (shown, None) };
        if injected.begins {
            self.frozen = Some(before);
        }
        let kind = InjectedAnomaly::ALL[injected.index];
        (alter(kind, injected.size, shown, self.frozen.unwrap_or(before), rng), Some(kind))
    }
}

fn alter(
    kind: InjectedAnomaly,
    size: f64,
    shown: HouseholdMeasures,
    frozen: HouseholdMeasures,
    rng: &mut ChaCha8Rng,
) -> HouseholdMeasures {
    let wobble = rng.random_range(-0.5..0.5);
    let voltage = |volts: f64| HouseholdMeasures { voltage: to_step(volts, 0.01), ..shown }.with_fitting_current();
    match kind {
        InjectedAnomaly::PowerSpike => shown.with_more_power(size + wobble),
        InjectedAnomaly::VoltageSag => voltage(shown.voltage - size + wobble),
        InjectedAnomaly::VoltageSwell => voltage(shown.voltage + size + wobble),
        InjectedAnomaly::Dropout => HouseholdMeasures {
            active_power: 0.0,
            reactive_power: 0.0,
            current: 0.0,
            sub_metering_1: 0.0,
            sub_metering_2: 0.0,
            sub_metering_3: 0.0,
            ..shown
        },
        InjectedAnomaly::Stuck => frozen,
        InjectedAnomaly::SubMeterMismatch => {
            let house_wh = shown.active_power * 1000.0 / 60.0;
            HouseholdMeasures { sub_metering_1: (house_wh + size).round(), ..shown }
        }
    }
}
