//! What is injected for the detectors to find, in episodes.

use std::fmt;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::meter::{HouseholdMeasures, to_step};
use crate::simulate::injector::{InjectedKind, Injection, Injector};

/// A kind of injected anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InjectedAnomaly {
    /// Several kW more than the house draws, with the current and the voltage drop of it.
    PowerSpike,
    /// The grid's voltage 25 to 50 V below the usual.
    VoltageSag,
    /// The grid's voltage 22 to 45 V above the usual.
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

/// How often, how long and how large, in the order of [`InjectedAnomaly::ALL`]. A spike is short, a broken meter stays so
/// for some time.
pub(in crate::simulate) const KINDS: [InjectedKind; 6] = [
    // kW more.
    InjectedKind::new("power_spike", 0.34, 1, 4.0, (6.0, 12.0)),
    // V less.
    InjectedKind::new("voltage_sag", 0.22, 1, 6.0, (25.0, 50.0)),
    // V more.
    InjectedKind::new("voltage_swell", 0.22, 1, 6.0, (22.0, 45.0)),
    // No load and a stuck meter have no size.
    InjectedKind::new("dropout", 0.08, 1, 10.0, (1.0, 1.0)),
    InjectedKind::new("stuck", 0.04, 1, 10.0, (1.0, 1.0)),
    // Wh more than the whole house.
    InjectedKind::new("sub_meter_mismatch", 0.10, 1, 8.0, (50.0, 90.0)),
];

/// Injects episodes into the readings of a meter.
#[derive(Debug, Clone)]
pub(super) struct HouseholdInjector {
    injector: Injector,
    before: Option<HouseholdMeasures>,
    /// What a stuck meter repeats.
    frozen: Option<HouseholdMeasures>,
}

impl HouseholdInjector {
    pub(super) fn new(injection: Injection) -> Self {
        Self { injector: Injector::new(&KINDS, injection), before: None, frozen: None }
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
