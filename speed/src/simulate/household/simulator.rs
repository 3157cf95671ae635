//! The simulator: one meter, one seed.

use chrono::{DateTime, FixedOffset, Offset, Utc};
use kilowatch_shared::{log::NewRecord, position::DeviceId, stream::InjectedKind};
use rand_chacha::ChaCha8Rng;

use super::{
    anomaly::{HouseholdInjector, InjectedAnomaly},
    calibration::LocalHour,
    gaps::Gaps,
    meter::{House, HouseholdMeasures},
    record::to_record,
};
use crate::simulate::{
    fleet::Device,
    injector::Injection,
    steps::{Steps, device_rng},
};

/// What a simulated household does besides living.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HouseholdOptions {
    /// What is injected.
    pub injection: Injection,
    /// Share of the readings without values, 0 to 0.9.
    pub missing_share: f64,
    /// Minutes that the household's clock is east of UTC; it has no DST, as the UCI file.
    pub utc_offset_minutes: i32,
}

impl HouseholdOptions {
    /// A live meter: 5 % anomalies, nothing missing.
    #[must_use]
    pub const fn live() -> Self {
        Self { injection: Injection { share: 0.05, factor: 1.0 }, missing_share: 0.0, utc_offset_minutes: 60 }
    }

    /// History: no anomalies, and as much missing as in the UCI file.
    #[must_use]
    pub const fn history() -> Self {
        Self { injection: Injection::NONE, missing_share: 0.0125, utc_offset_minutes: 60 }
    }
}

/// A simulated reading with its truth.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedReading {
    /// The meter.
    pub device: DeviceId,
    /// The instant that the reading stands for.
    pub event_time: DateTime<Utc>,
    /// The values; `None` if all of them are missing.
    pub measures: Option<HouseholdMeasures>,
    /// What was injected, if anything.
    pub injected: Option<InjectedAnomaly>,
}

/// One meter. The same seed, device, options and instants give the same readings.
#[derive(Debug, Clone)]
pub struct HouseholdSimulator {
    device: DeviceId,
    offset: FixedOffset,
    rng: ChaCha8Rng,
    house: House,
    injector: HouseholdInjector,
    gaps: Gaps,
    steps: Steps,
}

impl HouseholdSimulator {
    /// A meter that has shown nothing yet, with these kinds of anomalies.
    #[must_use]
    pub fn new(device: DeviceId, seed: u64, options: HouseholdOptions, kinds: &[InjectedKind]) -> Self {
        let rng = device_rng(seed, device.as_str());
        Self {
            device,
            offset: FixedOffset::east_opt(options.utc_offset_minutes.saturating_mul(60)).unwrap_or_else(|| Utc.fix()),
            rng,
            house: House::new(),
            injector: HouseholdInjector::new(kinds, options.injection),
            gaps: Gaps::new(options.missing_share),
            steps: Steps::default(),
        }
    }

    /// The reading for an instant, which is not before the last one.
    pub fn next_reading(&mut self, at: DateTime<Utc>) -> SimulatedReading {
        let minutes = self.steps.minutes_to(at);
        let hour = LocalHour::of(at.with_timezone(&self.offset));
        let shown = self.house.step(hour, minutes, &mut self.rng);
        let (measures, injected) = self.injector.step(shown, &mut self.rng);
        let missing = self.gaps.step(&mut self.rng);
        let (measures, injected) = if missing { (None, None) } else { (Some(measures), injected) };
        SimulatedReading { device: self.device.clone(), event_time: at, measures, injected }
    }
}

impl Device for HouseholdSimulator {
    fn next_record(&mut self, at: DateTime<Utc>) -> Result<NewRecord, serde_json::Error> {
        to_record(&self.next_reading(at))
    }
}
