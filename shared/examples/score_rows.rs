//! Trains a detector on the rows of one CSV file and prints its score of each row of another, so that other programs
//! can be held against it: `score_rows isolation-forest|k-means TRAIN.csv SCORE.csv SEED`. Files have a header and
//! numbers only. `bench/agreement.py` runs it.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::panic, reason = "a tool for the bench may fail loudly")]

use std::path::Path;

use kilowatch_shared::detect::{
    features::{FeatureValues, MAX_FEATURES},
    isolation_forest::{self, ForestParams, TrainingRows},
    kmeans::{self, KMeansParams},
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, train, score, seed] = arguments.as_slice() else {
        panic!("use: score_rows isolation-forest|k-means TRAIN.csv SCORE.csv SEED")
    };
    let (features, train) = read(Path::new(train));
    let (_, score) = read(Path::new(score));
    let seed = seed.parse().unwrap();
    let scores: Vec<f64> = match what.as_str() {
        "isolation-forest" => {
            let values: Vec<f64> = train.concat();
            let rows = TrainingRows { features: &features, values: &values };
            let model = isolation_forest::train(rows, ForestParams::default(), 0.99, seed).unwrap();
            score.iter().map(|row| model.score(&row.iter().copied().map(Some).collect::<Vec<_>>())).collect()
        }
        "k-means" => {
            let rows: Vec<FeatureValues> = train.iter().map(|row| padded(row)).collect();
            let model = kmeans::train(&features, &rows, KMeansParams::new(3, 0.95), seed).unwrap();
            score.iter().map(|row| model.distance(&padded(row))).collect()
        }
        other => panic!("no such detector: {other}"),
    };
    scores.iter().for_each(|score| println!("{score}"));
}

fn padded(row: &[f64]) -> FeatureValues {
    let mut values = [f64::NAN; MAX_FEATURES];
    values[..row.len()].copy_from_slice(row);
    values
}

fn read(path: &Path) -> (Vec<String>, Vec<Vec<f64>>) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names = lines.next().unwrap().split(',').map(str::to_owned).collect();
    (names, lines.map(|line| line.split(',').map(|value| value.parse().unwrap()).collect()).collect())
}
