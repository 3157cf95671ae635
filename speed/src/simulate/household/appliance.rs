//! A load that is on for a while and off for a while.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::calibration::{LocalHour, Seasonal};
use crate::simulate::noise::normal;

/// Largest share of the time that an appliance runs; at 1 it could never have been off.
const MAX_SHARE: f64 = 0.95;

/// How an appliance behaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct ApplianceKind {
    /// Mean energy by hour and season, which the episodes add up to.
    pub(super) mean: Seasonal,
    /// Mean energy while it runs, in Wh per minute.
    pub(super) level_wh: f64,
    /// Standard deviation of the level from one episode to the next, as a share of it.
    pub(super) level_spread: f64,
    /// Standard deviation from one minute to the next inside an episode, in Wh.
    pub(super) ripple_wh: f64,
    /// Mean length of an episode in minutes.
    pub(super) episode_minutes: f64,
}

/// One appliance.
#[derive(Debug, Clone)]
pub(super) struct Appliance {
    kind: ApplianceKind,
    /// The running episode: level and minutes left.
    episode: Option<(f64, f64)>,
    started: bool,
}

impl Appliance {
    pub(super) const fn new(kind: ApplianceKind) -> Self {
        Self { kind, episode: None, started: false }
    }

    /// Energy of the next reading in Wh per minute, `minutes` after the one before.
    ///
    /// Episodes begin as often as makes the share of the time that the appliance runs what the hour's mean asks for:
    /// share / ((1 - share) * length) a minute.
    pub(super) fn step(&mut self, at: LocalHour, minutes: f64, rng: &mut ChaCha8Rng) -> f64 {
        let share = (self.kind.mean.mean(at) / self.kind.level_wh).clamp(0.0, MAX_SHARE);
        let chance = if self.started {
            let starts_per_minute = share / ((1.0 - share) * self.kind.episode_minutes);
            1.0 - (-starts_per_minute * minutes).exp()
        } else {
            share
        };
        self.started = true;
        self.episode = match self.episode {
            Some((level, left)) if left > minutes => Some((level, left - minutes)),
            Some(_) => None,
            None if rng.random_bool(chance) => Some(self.begin(rng)),
            None => None,
        };
        self.episode.map_or(0.0, |(level, _)| (level + self.kind.ripple_wh * normal(rng)).max(0.0))
    }

    fn begin(&self, rng: &mut ChaCha8Rng) -> (f64, f64) {
        let level = self.kind.level_wh * (1.0 + self.kind.level_spread * normal(rng)).max(0.3);
        // Exponential lengths, of which `random` below 1 keeps the logarithm finite.
        let minutes = -self.kind.episode_minutes * (1.0 - rng.random::<f64>()).ln();
        (level, minutes)
    }
}
