//! Which streams can be simulated, by how many devices, at which pace and with how much history.

use chrono::TimeDelta;
use kilowatch_shared::{
    position::DeviceId,
    stream::{InjectedKind, StreamProfile},
};

use super::{
    Injection, Simulator,
    campus::{self, Floor},
    fleet::Fleet,
    grid::{self, GridMeter},
    household::{self, HouseholdOptions, HouseholdSimulator},
    power_plant::{self, Plant},
    sensor::{self, Sensor},
};

/// Most devices of one simulator: at some hundred bytes each they stay far below what a laptop has.
pub const MAX_DEVICES: u32 = 1_000_000;

/// A file of history that models are trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingSet {
    /// Readings of all devices together.
    pub rows: u64,
    /// Event time between two readings of a device.
    pub interval: TimeDelta,
}

/// How a built-in stream is simulated.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedStream {
    /// Name of the stream.
    pub stream: &'static str,
    /// Devices, unless others are asked for.
    pub devices: u32,
    /// Seconds between two readings of a device, live.
    pub live_interval_secs: f64,
    /// What its learned detectors are trained on; a stream without any has none.
    pub training: Option<TrainingSet>,
    /// How much of the history comes through the log, so that the live layer has something to judge at once.
    pub back_dated: TimeDelta,
    /// The kinds of anomalies that it can inject; the profile says how often, how long and how large.
    pub effects: &'static [&'static str],
    open: fn(&SimulationOptions, u32) -> Box<dyn Simulator>,
}

/// What a simulator is opened with.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulationOptions {
    /// Same seed, same readings.
    pub seed: u64,
    /// What is injected.
    pub injection: Injection,
    /// How many devices; else as many as the stream usually has.
    pub devices: Option<u32>,
    /// Name of the only device, where the stream names its devices freely (households do).
    pub device: Option<DeviceId>,
    /// Minutes that the devices' clocks are east of UTC.
    pub utc_offset_minutes: i32,
    /// The kinds of anomalies that are injected.
    pub kinds: Vec<InjectedKind>,
}

impl SimulationOptions {
    /// The devices of a stream as it usually is.
    #[must_use]
    pub fn new(profile: &StreamProfile, seed: u64, injection: Injection) -> Self {
        let kinds = profile.injection.as_ref().map(|injected| injected.kinds.clone()).unwrap_or_default();
        Self { seed, injection, devices: None, device: None, utc_offset_minutes: profile.utc_offset_minutes, kinds }
    }
}

impl SimulatedStream {
    /// How a stream is simulated, if it can be.
    #[must_use]
    pub fn find(stream: &str) -> Option<&'static Self> {
        STREAMS.iter().find(|known| known.stream == stream)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        STREAMS.iter()
    }

    /// What of a profile's injection its simulator cannot do, one line a problem.
    #[must_use]
    pub fn problems(&self, profile: &StreamProfile) -> Vec<String> {
        let kinds = profile.injection.iter().flat_map(|injected| &injected.kinds);
        let unknown = kinds.filter(|kind| !self.effects.contains(&kind.name.as_str()));
        unknown
            .map(|kind| {
                let (name, stream, known) = (&kind.name, self.stream, self.effects.join(", "));
                format!("injection.kinds: the simulator of `{stream}` knows no `{name}`; it knows {known}")
            })
            .collect()
    }

    /// Its producer.
    #[must_use]
    pub fn open(&self, options: &SimulationOptions) -> Box<dyn Simulator> {
        (self.open)(options, options.devices.unwrap_or(self.devices).clamp(1, MAX_DEVICES))
    }
}

const STREAMS: [SimulatedStream; 5] = [
    SimulatedStream {
        stream: "household",
        devices: 1,
        live_interval_secs: 1.0,
        // A year in the UCI format, which `household::write_uci` writes.
        training: None,
        back_dated: TimeDelta::days(1),
        effects: &household::EFFECTS,
        open: |options, devices| {
            let simulated = HouseholdOptions {
                injection: options.injection,
                utc_offset_minutes: options.utc_offset_minutes,
                ..HouseholdOptions::live()
            };
            let named = |number: u32| match &options.device {
                Some(device) if devices == 1 => Some(device.clone()),
                _ => DeviceId::parse(&format!("meter-{:04}", number + 1)).ok(),
            };
            let meter = |number| Some(HouseholdSimulator::new(named(number)?, options.seed, simulated, &options.kinds));
            Box::new(Fleet::new((0..devices).filter_map(meter).collect()))
        },
    },
    SimulatedStream {
        stream: "power-plant",
        devices: 8,
        live_interval_secs: 1.0,
        // A year of quarter hours of eight plants: a forest that has not seen every season flags the others.
        training: Some(TrainingSet { rows: 280_320, interval: TimeDelta::minutes(15) }),
        back_dated: TimeDelta::days(3),
        effects: &power_plant::EFFECTS,
        open: |options, devices| Box::new(Fleet::new((0..devices).map(|n| Plant::new(n, options)).collect())),
    },
    SimulatedStream {
        stream: "campus",
        devices: 3 * campus::FLOORS,
        live_interval_secs: 1.0,
        // Five days and nights of fifteen floors.
        training: Some(TrainingSet { rows: 200_000, interval: TimeDelta::seconds(30) }),
        back_dated: TimeDelta::minutes(30),
        effects: &campus::EFFECTS,
        open: |options, devices| Box::new(Fleet::new((0..devices).map(|n| Floor::new(n, options)).collect())),
    },
    SimulatedStream {
        stream: "sensor",
        devices: 5,
        live_interval_secs: 10.0,
        training: None,
        back_dated: TimeDelta::days(1),
        effects: &sensor::EFFECTS,
        open: |options, devices| Box::new(Fleet::new((0..devices).map(|n| Sensor::new(n + 1, options)).collect())),
    },
    SimulatedStream {
        stream: "grid",
        devices: 100,
        live_interval_secs: 10.0,
        training: None,
        back_dated: TimeDelta::hours(2),
        effects: &grid::EFFECTS,
        open: |options, devices| Box::new(Fleet::new((0..devices).map(|n| GridMeter::new(n, options)).collect())),
    },
];
