//! How long a fault test goes on.

use std::env;

/// Set by `just soak`.
const SOAK: &str = "KILOWATCH_TEST_SOAK";
/// What a soak drew its moments from, to draw them again.
const SEED: &str = "KILOWATCH_TEST_SEED";

/// How often a fault is done: a few times on every run of the tests, and many times in a soak.
pub fn rounds(short: usize, long: usize) -> usize {
    if is_soak() { long } else { short }
}

/// Whether the tests are to go on for long.
pub fn is_soak() -> bool {
    env::var_os(SOAK).is_some()
}

/// What random moments are drawn from: the same at every run of the tests, another one in every soak.
pub fn seed() -> u64 {
    let given = env::var(SEED).ok().map(|text| text.parse().expect("a seed is a number"));
    let seed = given.unwrap_or_else(|| if is_soak() { rand::random() } else { 20_261_121 });
    println!("{SEED}={seed}");
    seed
}
