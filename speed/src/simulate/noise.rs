//! Noise that remembers: a first-order autoregression in continuous time.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// A process of mean 0 whose correlation falls by e within `memory_minutes`.
#[derive(Debug, Clone)]
pub(super) struct Noise {
    sd: f64,
    memory_minutes: f64,
    value: Option<f64>,
    /// The decay for the last step's length; steps are nearly always equal.
    decay: (f64, f64),
}

impl Noise {
    pub(super) const fn new(sd: f64, memory_minutes: f64) -> Self {
        Self { sd, memory_minutes, value: None, decay: (0.0, 1.0) }
    }

    pub(super) fn step(&mut self, minutes: f64, rng: &mut ChaCha8Rng) -> f64 {
        let fresh = self.sd * normal(rng);
        if self.decay.0 != minutes {
            self.decay = (minutes, (-minutes / self.memory_minutes).exp());
        }
        let decay = self.decay.1;
        let value = self.value.map_or(fresh, |value| decay * value + (1.0 - decay * decay).sqrt() * fresh);
        self.value = Some(value);
        value
    }
}

/// A standard normal number.
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}
