//! The simulator: one meter, one seed.

use chrono::{DateTime, FixedOffset, Offset, TimeDelta, Utc};
use kilowatch_shared::position::DeviceId;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{
    anomaly::{InjectedAnomaly, Injector},
    calibration::LocalHour,
    gaps::Gaps,
    meter::{House, HouseholdMeasures},
};

/// Longest step in minutes that loads are carried over; after a day nothing of the old state is left.
const LONGEST_STEP_MINUTES: f64 = 24.0 * 60.0;

/// What a simulated household does besides living.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HouseholdOptions {
    /// Share of the readings with an injected anomaly, 0 to 0.9.
    pub anomaly_share: f64,
    /// Share of the readings without values, 0 to 0.9.
    pub missing_share: f64,
    /// Minutes that the household's clock is east of UTC; it has no DST, as the UCI file.
    pub utc_offset_minutes: i32,
}

impl HouseholdOptions {
    /// A live meter: 5 % anomalies, nothing missing.
    #[must_use]
    pub const fn live() -> Self {
        Self { anomaly_share: 0.05, missing_share: 0.0, utc_offset_minutes: 60 }
    }

    /// History: no anomalies, and as much missing as in the UCI file.
    #[must_use]
    pub const fn history() -> Self {
        Self { anomaly_share: 0.0, missing_share: 0.0125, utc_offset_minutes: 60 }
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
    injector: Injector,
    gaps: Gaps,
    last: Option<DateTime<Utc>>,
}

impl HouseholdSimulator {
    /// A meter that has shown nothing yet.
    #[must_use]
    pub fn new(device: DeviceId, seed: u64, options: HouseholdOptions) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Meters of one seed live different lives.
        rng.set_stream(fnv1a(device.as_str().as_bytes()));
        Self {
            device,
            offset: FixedOffset::east_opt(options.utc_offset_minutes.saturating_mul(60)).unwrap_or_else(|| Utc.fix()),
            rng,
            house: House::new(),
            injector: Injector::new(options.anomaly_share),
            gaps: Gaps::new(options.missing_share),
            last: None,
        }
    }

    /// The reading for an instant, which is not before the last one.
    pub fn next_reading(&mut self, at: DateTime<Utc>) -> SimulatedReading {
        let elapsed = self.last.map_or(TimeDelta::minutes(1), |last| at.signed_duration_since(last));
        self.last = Some(at);
        let minutes = (elapsed.num_milliseconds() as f64 / 60_000.0).clamp(0.0, LONGEST_STEP_MINUTES);
        let hour = LocalHour::of(at.with_timezone(&self.offset));
        let shown = self.house.step(hour, minutes, &mut self.rng);
        let (measures, injected) = self.injector.step(shown, &mut self.rng);
        let missing = self.gaps.step(&mut self.rng);
        let (measures, injected) = if missing { (None, None) } else { (Some(measures), injected) };
        SimulatedReading { device: self.device.clone(), event_time: at, measures, injected }
    }
}

/// Source: Fowler, Noll and Vo (1991), 64-bit FNV-1a.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
