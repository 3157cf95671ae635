//! Minutes that are missing, in runs as in the real file.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Of the real file's gaps most last one to three minutes and a few last hours or days; here a quarter lasts an hour on
/// average, so that a year already has its share of missing minutes.
const LONG_SHARE: f64 = 0.25;
const SHORT_READINGS: f64 = 2.0;
const LONG_READINGS: f64 = 60.0;

/// Decides which readings are missing.
#[derive(Debug, Clone)]
pub(super) struct Gaps {
    start_chance: f64,
    readings_left: u32,
}

impl Gaps {
    /// `share` of the readings are missing, 0 to under 1.
    pub(super) fn new(share: f64) -> Self {
        let mean = LONG_SHARE * LONG_READINGS + (1.0 - LONG_SHARE) * SHORT_READINGS;
        let share = share.clamp(0.0, 0.9);
        Self { start_chance: (share / ((1.0 - share) * mean)).min(1.0), readings_left: 0 }
    }

    /// Whether the next reading is missing.
    pub(super) fn step(&mut self, rng: &mut ChaCha8Rng) -> bool {
        if self.readings_left > 0 {
            self.readings_left -= 1;
            return self.readings_left > 0 || self.begins(rng);
        }
        self.begins(rng)
    }

    fn begins(&mut self, rng: &mut ChaCha8Rng) -> bool {
        if self.start_chance == 0.0 || !rng.random_bool(self.start_chance) {
            return false;
        }
        let mean = if rng.random_bool(LONG_SHARE) { LONG_READINGS } else { SHORT_READINGS };
        // Exponential, rounded up: one reading at least.
        let readings = (-(mean - 0.5) * (1.0 - rng.random::<f64>()).ln()).ceil();
        self.readings_left = (readings as u32).max(1);
        true
    }
}
