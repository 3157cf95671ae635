//! Which streams can be simulated, by how many devices, at which pace and with how much history.

use chrono::TimeDelta;
use kilowatch_shared::{position::DeviceId, stream::StreamProfile};

use super::{
    Injection, Simulator,
    campus::{self, Floor},
    fleet::Fleet,
    grid::{self, GridMeter},
    household::{self, HouseholdOptions, HouseholdSimulator},
    injector::InjectedKind,
    power_plant::{self, Plant},
    sensor::{self, Sensor},
};

/// Most devices of one simulator: at some hundred bytes each they stay far below what a laptop has.
pub const MAX_DEVICES: u32 = 1_000_000;

/// A file of history that models are trained on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingSet {
    /// Readings of all devices together.
    pub rows: u64,
    /// Event time between two readings of a device.
    pub interval: TimeDelta,
    /// Share of the readings that carry an injected anomaly.
    pub anomaly_share: f64,
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
    /// Share of live readings that carry an injected anomaly.
    pub anomaly_share: f64,
    /// What its learned detectors are trained on; a stream without any has none.
    pub training: Option<TrainingSet>,
    /// How much of the history comes through the log, so that the live layer has something to judge at once.
    pub back_dated: TimeDelta,
    /// What is injected: shares, lengths and sizes.
    pub injects: &'static [InjectedKind],
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
}

impl SimulationOptions {
    /// The devices of a stream as it usually is.
    #[must_use]
    pub const fn new(profile: &StreamProfile, seed: u64, injection: Injection) -> Self {
        Self { seed, injection, devices: None, device: None, utc_offset_minutes: profile.utc_offset_minutes }
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
        anomaly_share: 0.05,
        // A year in the UCI format, which `household::write_uci` writes.
        training: None,
        back_dated: TimeDelta::days(1),
        injects: &household::KINDS,
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
            let meter = |number| Some(HouseholdSimulator::new(named(number)?, options.seed, simulated));
            Box::new(Fleet::new((0..devices).filter_map(meter).collect()))
        },
    },
    SimulatedStream {
        stream: "power-plant",
        devices: 8,
        live_interval_secs: 1.0,
        anomaly_share: 0.03,
        // A year of quarter hours of eight plants: a forest that has not seen every season flags the others.
        training: Some(TrainingSet { rows: 280_320, interval: TimeDelta::minutes(15), anomaly_share: 0.01 }),
        back_dated: TimeDelta::days(3),
        injects: &power_plant::KINDS,
        open: |options, devices| {
            Box::new(Fleet::new((0..devices).map(|n| Plant::new(n, options.seed, options.injection)).collect()))
        },
    },
    SimulatedStream {
        stream: "campus",
        devices: 3 * campus::FLOORS,
        live_interval_secs: 1.0,
        anomaly_share: 0.05,
        // Five days and nights of fifteen floors. One reading in twenty is anomalous, so that the quantile 0.95 of the
        // distances lies between the normal readings and the others.
        training: Some(TrainingSet { rows: 200_000, interval: TimeDelta::seconds(30), anomaly_share: 0.05 }),
        back_dated: TimeDelta::minutes(30),
        injects: &campus::KINDS,
        open: |options, devices| {
            let floor = |n| Floor::new(n, options.seed, options.injection, options.utc_offset_minutes);
            Box::new(Fleet::new((0..devices).map(floor).collect()))
        },
    },
    SimulatedStream {
        stream: "sensor",
        devices: 5,
        live_interval_secs: 10.0,
        anomaly_share: 0.05,
        training: None,
        back_dated: TimeDelta::days(1),
        injects: &sensor::KINDS,
        open: |options, devices| {
            let sensor = |n| Sensor::new(n + 1, options.seed, options.injection);
            Box::new(Fleet::new((0..devices).map(sensor).collect()))
        },
    },
    SimulatedStream {
        stream: "grid",
        devices: 100,
        live_interval_secs: 10.0,
        anomaly_share: 0.01,
        training: None,
        back_dated: TimeDelta::hours(2),
        injects: &grid::KINDS,
        open: |options, devices| {
            Box::new(Fleet::new((0..devices).map(|n| GridMeter::new(n, options.seed, options.injection)).collect()))
        },
    },
];
