//! Drawing rows with a seed.

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// `count` of the numbers below `total`, ascending, each set of them equally likely; all of them if `count` is not less.
///
/// Source: algorithm S of Knuth, "The Art of Computer Programming", volume 2, section 3.4.2.
#[must_use]
pub fn sample_ascending(total: usize, count: usize, seed: u64) -> Vec<usize> {
    if count >= total {
        return (0..total).collect();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut chosen = Vec::with_capacity(count);
    for at in 0..total {
        let (left, wanted) = ((total - at) as u64, (count - chosen.len()) as u64);
        // Takes the row with probability wanted/left; the bias of the product is under 2^-32 for counts that occur.
        if ((u128::from(rng.next_u64()) * u128::from(left)) >> 64) < u128::from(wanted) {
            chosen.push(at);
        }
    }
    chosen
}

/// The least step from `at_least` on that has no divisor in common with `period`: every step-th row then visits all
/// positions of the period alike, where a step of 24 hours would only ever see midnight.
#[must_use]
pub fn step_across(period: usize, at_least: usize) -> usize {
    (at_least.max(1)..).find(|step| greatest_common_divisor(*step, period) == 1).unwrap_or(1)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_step_across_the_week_visits_every_hour_of_it() {
        assert_eq!(step_across(168, 1), 1);
        assert_eq!(step_across(168, 2), 5);
        let step = step_across(168, 24);
        assert_eq!(step, 25);
        assert_eq!((0..168).map(|at| at * step % 168).collect::<BTreeSet<_>>().len(), 168);
    }

    #[test]
    fn every_row_is_drawn_alike() {
        let mut hits = [0; 10];
        for seed in 0..2000 {
            for row in sample_ascending(10, 3, seed) {
                hits[row] += 1;
            }
        }
        // 600 expected, standard deviation 20.5.
        assert!(hits.iter().all(|count| (500..700).contains(count)), "{hits:?}");
    }

    proptest! {
        #[test]
        fn a_sample_has_its_size_its_order_and_its_seed(total in 0_usize..300, count in 0_usize..300, seed in any::<u64>()) {
            let sample = sample_ascending(total, count, seed);
            prop_assert_eq!(sample.len(), count.min(total));
            prop_assert!(sample.is_sorted_by(|a, b| a < b));
            prop_assert!(sample.iter().all(|row| *row < total));
            prop_assert_eq!(sample_ascending(total, count, seed), sample);
        }
    }
}
