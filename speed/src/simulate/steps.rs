//! What every simulated device needs: numbers of its own, and the time since its last reading.

use chrono::{DateTime, TimeDelta, Utc};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Longest step in minutes that a device's state is carried over; after a day nothing of it is left.
const LONGEST_STEP_MINUTES: f64 = 24.0 * 60.0;

/// Random numbers of one device: devices of one seed live different lives.
pub(super) fn device_rng(seed: u64, device: &str) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(fnv1a(device.as_bytes()));
    rng
}

/// The instants that a device was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Steps {
    last: Option<DateTime<Utc>>,
}

impl Steps {
    /// Minutes since the last reading; one before the first.
    pub(super) fn minutes_to(&mut self, at: DateTime<Utc>) -> f64 {
        let elapsed = self.last.map_or(TimeDelta::minutes(1), |last| at.signed_duration_since(last));
        self.last = Some(at);
        (elapsed.num_milliseconds() as f64 / 60_000.0).clamp(0.0, LONGEST_STEP_MINUTES)
    }
}

/// The value to so many decimals, as a meter shows it.
pub(super) fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

/// Source: Fowler, Noll and Vo (1991), 64-bit FNV-1a.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
