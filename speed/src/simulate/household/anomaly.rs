//! What is injected for the detectors to find, in episodes.

use std::fmt;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::meter::{HouseholdMeasures, to_step};

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

    /// Readings of an episode on average: a spike is short, a broken meter stays so for some time.
    const fn mean_readings(self) -> f64 {
        match self {
            Self::PowerSpike => 4.0,
            Self::VoltageSag | Self::VoltageSwell => 6.0,
            Self::SubMeterMismatch => 8.0,
            Self::Dropout | Self::Stuck => 10.0,
        }
    }

    /// Episodes of this kind among all.
    const fn episode_share(self) -> f64 {
        match self {
            Self::PowerSpike => 0.34,
            Self::VoltageSag | Self::VoltageSwell => 0.22,
            Self::SubMeterMismatch => 0.10,
            Self::Dropout => 0.08,
            Self::Stuck => 0.04,
        }
    }
}

impl fmt::Display for InjectedAnomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Injects episodes so that a share of all readings is anomalous.
#[derive(Debug, Clone)]
pub(super) struct Injector {
    /// Chance that an episode begins at a reading outside of one.
    start_chance: f64,
    episode: Option<Episode>,
    before: Option<HouseholdMeasures>,
}

#[derive(Debug, Clone, Copy)]
struct Episode {
    kind: InjectedAnomaly,
    /// How strong, 0 to 1.
    strength: f64,
    readings_left: u32,
    /// What a stuck meter repeats.
    frozen: HouseholdMeasures,
}

impl Injector {
    /// `share` of the readings, 0 to under 1: episodes of mean length m begin at share / ((1 - share) * m).
    pub(super) fn new(share: f64) -> Self {
        let mean: f64 = InjectedAnomaly::ALL.iter().map(|kind| kind.episode_share() * kind.mean_readings()).sum();
        let share = share.clamp(0.0, 0.9);
        Self { start_chance: (share / ((1.0 - share) * mean)).min(1.0), episode: None, before: None }
    }

    /// The reading as it is to be shown, and what was done to it.
    pub(super) fn step(
        &mut self,
        shown: HouseholdMeasures,
        rng: &mut ChaCha8Rng,
    ) -> (HouseholdMeasures, Option<InjectedAnomaly>) {
        if self.start_chance == 0.0 {
            return (shown, None);
        }
        let before = self.before.replace(shown).unwrap_or(shown);
        if self.episode.is_none() && rng.random_bool(self.start_chance) {
            self.episode = Some(Episode::begin(before, rng));
        }
        let Some(episode) = &mut self.episode else { return (shown, None) };
        let (altered, kind) = (episode.alter(shown, rng), episode.kind);
        episode.readings_left -= 1;
        if episode.readings_left == 0 {
            self.episode = None;
        }
        (altered, Some(kind))
    }
}

impl Episode {
    fn begin(frozen: HouseholdMeasures, rng: &mut ChaCha8Rng) -> Self {
        let mut place = rng.random::<f64>();
        let mut kind = InjectedAnomaly::PowerSpike;
        for candidate in InjectedAnomaly::ALL {
            kind = candidate;
            place -= candidate.episode_share();
            if place < 0.0 {
                break;
            }
        }
        // Geometric lengths from 1 on, cut at four means.
        let going_on = 1.0 - 1.0 / kind.mean_readings();
        let longest = (4.0 * kind.mean_readings()) as u32;
        let mut readings_left = 1;
        while readings_left < longest && rng.random_bool(going_on) {
            readings_left += 1;
        }
        Self { kind, strength: rng.random(), readings_left, frozen }
    }

    fn alter(&self, shown: HouseholdMeasures, rng: &mut ChaCha8Rng) -> HouseholdMeasures {
        let wobble = rng.random_range(-0.5..0.5);
        let voltage = |volts: f64| HouseholdMeasures { voltage: to_step(volts, 0.01), ..shown }.with_fitting_current();
        match self.kind {
            InjectedAnomaly::PowerSpike => shown.with_more_power(6.0 + 6.0 * self.strength + wobble),
            InjectedAnomaly::VoltageSag => voltage(shown.voltage - 25.0 - 25.0 * self.strength + wobble),
            InjectedAnomaly::VoltageSwell => voltage(shown.voltage + 22.0 + 23.0 * self.strength + wobble),
            InjectedAnomaly::Dropout => HouseholdMeasures {
                active_power: 0.0,
                reactive_power: 0.0,
                current: 0.0,
                sub_metering_1: 0.0,
                sub_metering_2: 0.0,
                sub_metering_3: 0.0,
                ..shown
            },
            InjectedAnomaly::Stuck => self.frozen,
            InjectedAnomaly::SubMeterMismatch => {
                let house_wh = shown.active_power * 1000.0 / 60.0;
                HouseholdMeasures { sub_metering_1: (house_wh + 50.0 + 40.0 * self.strength).round(), ..shown }
            }
        }
    }
}
