//! How many readings a second does an isolation forest of 100 trees score on one core, one reading at a time?
//!
//! `cargo bench -p kilowatch-shared --bench how_many_readings_per_sec_does_the_isolation_forest_score`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints its answer and may fail loudly")]

use std::{hint::black_box, time::Instant};

use kilowatch_shared::detect::isolation_forest::{ForestParams, TrainingRows, train};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

const FEATURES: usize = 7;
const ROWS: usize = 200_000;
const ROUNDS: usize = 5;

fn main() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let values: Vec<f64> = (0..ROWS * FEATURES).map(|_| rng.random_range(0.0..10.0)).collect();
    let features: Vec<String> = (0..FEATURES).map(|feature| format!("feature_{feature}")).collect();
    let started = Instant::now();
    let rows = TrainingRows { features: &features, values: &values };
    let model = train(rows, ForestParams::default(), 0.99, 1).unwrap();
    let elapsed = started.elapsed();
    println!("trained on {ROWS} rows in {} ms, {} bytes", elapsed.as_millis(), model.to_bytes().unwrap().len());

    let readings: Vec<[Option<f64>; FEATURES]> =
        values.chunks_exact(FEATURES).map(|row| std::array::from_fn(|at| Some(row[at]))).collect();
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            for reading in &readings {
                black_box(model.score(black_box(reading)));
            }
            readings.len() as f64 / started.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    println!("{:.0} readings/s scored on one core, median of {ROUNDS} rounds", rates[ROUNDS / 2]);
}
