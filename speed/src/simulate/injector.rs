//! When anomalies are injected, for how long, and how large: episodes, the same for every simulated stream.

use kilowatch_shared::stream::{InjectedKind, StreamProfile};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// How much is injected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Injection {
    /// Share of a device's readings that lie in an episode, 0 to 0.9.
    pub share: f64,
    /// Factor on every size: 1 is what the profile states, 0.5 is half of it.
    pub factor: f64,
}

impl Injection {
    /// Nothing at all.
    pub const NONE: Self = Self { share: 0.0, factor: 1.0 };

    /// What the profile says of live readings.
    #[must_use]
    pub fn live(profile: &StreamProfile) -> Self {
        Self::of_share(profile.injection.as_ref().map_or(0.0, |injected| injected.share))
    }

    /// What the profile says of the readings that models are trained on.
    #[must_use]
    pub fn training(profile: &StreamProfile) -> Self {
        Self::of_share(profile.injection.as_ref().map_or(0.0, |injected| injected.training_share))
    }

    /// This share of readings at the profile's own sizes.
    #[must_use]
    pub const fn of_share(share: f64) -> Self {
        Self { share, factor: 1.0 }
    }
}

/// What is done to one reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct Injected {
    /// Its place among the effects of the simulator.
    pub index: usize,
    /// The name that travels as ground truth.
    pub name: &'static str,
    /// How large, times the factor.
    pub size: f64,
    /// Whether this reading is the episode's first.
    pub begins: bool,
}

/// Injects episodes so that a share of all readings is anomalous.
#[derive(Debug, Clone)]
pub(super) struct Injector {
    kinds: Vec<Kind>,
    factor: f64,
    /// Chance that an episode begins at a reading outside of one.
    start_chance: f64,
    /// The running episode and the readings that are left of it.
    episode: Option<(Injected, u32)>,
}

/// A kind of the profile beside the effect of the simulator that has its name.
#[derive(Debug, Clone)]
struct Kind {
    index: usize,
    name: &'static str,
    declared: InjectedKind,
}

impl Injector {
    /// Injects those of `kinds` that are among the `effects` that a simulator can have on a reading.
    ///
    /// Episodes of mean length m begin at share / ((1 - share) * m).
    pub(super) fn new(effects: &'static [&'static str], kinds: &[InjectedKind], injection: Injection) -> Self {
        let known = |declared: &InjectedKind| {
            let index = effects.iter().position(|effect| *effect == declared.name)?;
            Some(Kind { index, name: effects[index], declared: declared.clone() })
        };
        let kinds: Vec<Kind> = kinds.iter().filter_map(known).collect();
        let mean: f64 = kinds.iter().map(|kind| kind.declared.episode_share * kind.declared.mean_readings).sum();
        let share = injection.share.clamp(0.0, 0.9);
        let start_chance = if mean > 0.0 { (share / ((1.0 - share) * mean)).min(1.0) } else { 0.0 };
        Self { kinds, factor: injection.factor, start_chance, episode: None }
    }

    /// What is done to the next reading, if anything.
    pub(super) fn step(&mut self, rng: &mut ChaCha8Rng) -> Option<Injected> {
        if self.start_chance == 0.0 {
            return None;
        }
        if self.episode.is_none() && rng.random_bool(self.start_chance) {
            self.episode = self.begin(rng);
        }
        let (episode, left) = self.episode.as_mut()?;
        let injected = *episode;
        episode.begins = false;
        *left -= 1;
        if *left == 0 {
            self.episode = None;
        }
        Some(injected)
    }

    fn begin(&self, rng: &mut ChaCha8Rng) -> Option<(Injected, u32)> {
        let mut place = rng.random::<f64>();
        let mut chosen = None;
        for candidate in &self.kinds {
            chosen = Some(candidate);
            place -= candidate.declared.episode_share;
            if place < 0.0 {
                break;
            }
        }
        let Kind { index, name, declared } = chosen?;
        // Geometric lengths from the least on, cut at four means.
        let going_on = 1.0 - 1.0 / (declared.mean_readings - f64::from(declared.least_readings) + 1.0);
        let longest = (4.0 * declared.mean_readings) as u32;
        let mut readings = declared.least_readings.max(1);
        while readings < longest && rng.random_bool(going_on) {
            readings += 1;
        }
        let [least, most] = declared.size;
        let size = (least + (most - least) * rng.random::<f64>()) * self.factor;
        Some((Injected { index: *index, name, size, begins: true }, readings))
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    /// The effects in another order than the kinds, and one that the profile does not ask for.
    const EFFECTS: [&str; 3] = ["short", "never", "long"];

    fn kinds() -> [InjectedKind; 2] {
        let kind = |name: &str, episode_share, least_readings, mean_readings, size| InjectedKind {
            name: name.to_owned(),
            episode_share,
            least_readings,
            mean_readings,
            size,
            size_unit: "V".to_owned(),
        };
        [kind("long", 0.25, 5, 20.0, [2.0, 4.0]), kind("short", 0.75, 1, 4.0, [10.0, 20.0])]
    }

    fn run(injection: Injection, readings: usize) -> Vec<Option<Injected>> {
        let (mut injector, mut rng) = (Injector::new(&EFFECTS, &kinds(), injection), ChaCha8Rng::seed_from_u64(3));
        (0..readings).map(|_| injector.step(&mut rng)).collect()
    }

    #[test]
    fn the_share_the_lengths_and_the_sizes_are_as_declared() {
        let readings = run(Injection::of_share(0.1), 400_000);
        let injected: Vec<&Injected> = readings.iter().flatten().collect();
        let share = injected.len() as f64 / readings.len() as f64;
        assert!((0.09..0.11).contains(&share), "{share}");
        for kind in kinds() {
            let of_kind: Vec<_> = injected.iter().filter(|one| one.name == kind.name).collect();
            let episodes = of_kind.iter().filter(|one| one.begins).count();
            let mean = of_kind.len() as f64 / episodes as f64;
            assert!((0.85..1.1).contains(&(mean / kind.mean_readings)), "{}: {mean}", kind.name);
            assert!(of_kind.iter().all(|one| (kind.size[0]..=kind.size[1]).contains(&one.size)));
            assert!(of_kind.iter().all(|one| EFFECTS[one.index] == kind.name));
        }
    }

    #[test]
    fn a_factor_scales_the_sizes_and_nothing_else() {
        let whole = run(Injection::of_share(0.1), 10_000);
        let double = run(Injection { share: 0.1, factor: 2.0 }, 10_000);
        for (one, two) in whole.iter().zip(&double) {
            assert_eq!(one.map(|one| (one.index, one.begins)), two.map(|two| (two.index, two.begins)));
            assert_eq!(one.map(|one| one.size * 2.0), two.map(|two| two.size));
        }
    }

    #[test]
    fn nothing_is_injected_at_a_share_of_zero_or_without_a_kind() {
        assert!(run(Injection::NONE, 10_000).iter().all(Option::is_none));
        let mut injector = Injector::new(&EFFECTS, &[], Injection::of_share(0.5));
        assert!((0..10_000).all(|_| injector.step(&mut ChaCha8Rng::seed_from_u64(3)).is_none()));
    }
}
