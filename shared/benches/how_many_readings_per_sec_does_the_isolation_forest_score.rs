//! How many readings a second does an isolation forest of 100 trees judge on one core, one reading at a time?
//!
//! `cargo bench -p kilowatch-shared --bench how_many_readings_per_sec_does_the_isolation_forest_score`
//!
//! `judge` is the kernel as the fold calls it, features included; `score` is the model alone, which the peer is held
//! against. Readings are those of a household: seven features, each within its range.
#![expect(clippy::unwrap_used, reason = "a bench may fail loudly")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kilowatch_shared::{
    detect::{
        Kernel,
        features::FeatureState,
        isolation_forest::{ForestParams, IsolationForest, TrainingRows, train},
    },
    position::DeviceId,
    reading::Reading,
    stream::StreamRegistry,
};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use smallvec::SmallVec;

/// Upper ends of the household's measures, in the profile's order; the lower end of the voltage is 223 V, of the others 0.
const HIGHEST: [f64; 7] = [11.0, 1.3, 254.0, 48.0, 88.0, 80.0, 31.0];
const LOWEST_VOLTS: f64 = 223.0;

/// Rows that the forest is grown from, and readings that are judged in turn: more than the caches hold.
const ROWS: usize = 200_000;

fn rows() -> Vec<[f64; 7]> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let value = |at: usize, rng: &mut ChaCha8Rng| {
        let least = if at == 2 { LOWEST_VOLTS } else { 0.0 };
        // Squared, so that low values are common and high ones seldom, as loads are.
        least + (HIGHEST[at] - least) * rng.random::<f64>().powi(2)
    };
    (0..ROWS).map(|_| std::array::from_fn(|at| value(at, &mut rng))).collect()
}

fn isolation_forest(criterion: &mut Criterion) {
    let registry = StreamRegistry::built_in().unwrap();
    let profile = registry.find(&"household".parse().unwrap()).unwrap();
    let features: Vec<String> = profile.measures.iter().map(|measure| measure.name.clone()).collect();
    let rows = rows();
    let values = rows.concat();
    let training = TrainingRows { features: &features, values: &values };
    let model = train(training, ForestParams::default(), 0.99, 1).unwrap();
    let kernel = IsolationForest::try_new(profile, &model.to_bytes().unwrap()).unwrap();
    let device = DeviceId::parse("meter-0001").unwrap();
    let readings: Vec<Reading> = rows
        .iter()
        .map(|row| Reading {
            device: device.clone(),
            event_time: chrono::DateTime::UNIX_EPOCH,
            measures: row.iter().copied().map(Some).collect(),
            tags: SmallVec::new(),
            injected: None,
        })
        .collect();
    let plain: Vec<[Option<f64>; 7]> = rows.iter().map(|row| row.map(Some)).collect();

    let mut group = criterion.benchmark_group("isolation forest, one reading at a time");
    group.throughput(Throughput::Elements(1));
    group.bench_function("judge", |bencher| {
        let (mut state, mut next) = (FeatureState::default(), readings.iter().cycle());
        bencher.iter(|| black_box(kernel.assess(&mut state, black_box(next.next().unwrap()))));
    });
    group.bench_function("score", |bencher| {
        let mut next = plain.iter().cycle();
        bencher.iter(|| black_box(model.score(black_box(next.next().unwrap()))));
    });
    group.finish();
}

criterion_group!(benches, isolation_forest);
criterion_main!(benches);
