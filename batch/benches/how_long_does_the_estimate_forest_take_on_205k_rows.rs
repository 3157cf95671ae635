//! Prints the seconds that the reference forest takes to grow on the household's first half-year (205,495 of 256,869
//! complete rows; 20 trees, depth 10, 3 of 8 features a split), its RMSE in kW on the last fifth, and predictions a second.
//!
//! `KILOWATCH_UCI_FILE=.../uci_2007_h1.txt.gz cargo bench -p kilowatch-batch --bench how_long_does_the_estimate_forest_take_on_205k_rows`
//! `KILOWATCH_SEEDS` (default 3) says how many forests to grow, `KILOWATCH_TILES` (default 1) how often to repeat the rows.

use std::{
    env,
    error::Error,
    fs::File,
    io::{BufRead, BufReader},
    time::Instant,
};

use chrono::{DateTime, NaiveDateTime, Utc};
use flate2::read::MultiGzDecoder;
use kilowatch_batch::training::{ForestParams, cut_at_share, grow_forest, regression_metrics, rows_before};
use kilowatch_shared::model::LocalCalendar;

fn main() -> Result<(), Box<dyn Error>> {
    let Ok(path) = env::var("KILOWATCH_UCI_FILE") else {
        println!("skipped: KILOWATCH_UCI_FILE names no file in UCI format");
        return Ok(());
    };
    let number = |name: &str, default: usize| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let tiles = number("KILOWATCH_TILES", 1);
    let (times, columns, target) = read(&path)?;
    let cut = cut_at_share(&times, 0.8).ok_or("too few rows")?;
    let train = rows_before(&times, cut);
    let past: Vec<Vec<f32>> = columns.iter().map(|column| column[..train].repeat(tiles)).collect();
    let past: Vec<&[f32]> = past.iter().map(Vec::as_slice).collect();
    let past_target = target[..train].repeat(tiles);
    for seed in 1..=number("KILOWATCH_SEEDS", 3) {
        let start = Instant::now();
        let forest = grow_forest(&past, &past_target, &ForestParams::default(), seed as u64)?;
        let fit = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let said: Vec<f64> = (train..times.len())
            .map(|at| forest.predict(&columns.iter().map(|column| column[at]).collect::<Vec<f32>>()))
            .collect();
        let rate = said.len() as f64 / start.elapsed().as_secs_f64();
        let metrics = regression_metrics(&target[train..], &said).ok_or("no row is held out")?;
        println!(
            "seed {seed}: {fit:.3} s for {} rows, RMSE {:.4} kW, R2 {:.4}, {} nodes, {rate:.0} predictions/s",
            past_target.len(),
            metrics.rmse,
            metrics.r2,
            forest.nodes(),
        );
    }
    Ok(())
}

type Rows = (Vec<DateTime<Utc>>, Vec<Vec<f32>>, Vec<f64>);

fn read(path: &str) -> Result<Rows, Box<dyn Error>> {
    let (mut times, mut columns, mut target) = (Vec::new(), vec![Vec::new(); 8], Vec::new());
    for line in BufReader::new(MultiGzDecoder::new(File::open(path)?)).lines().skip(1) {
        let line = line?;
        let fields: Vec<&str> = line.trim_end().split(';').collect();
        let [date, time, power, _, inputs @ ..] = fields.as_slice() else { continue };
        let (Ok(power), Ok(inputs)) =
            (power.parse(), inputs.iter().map(|text| text.parse()).collect::<Result<Vec<f32>, _>>())
        else {
            continue;
        };
        let at = NaiveDateTime::parse_from_str(&format!("{date} {time}"), "%d/%m/%Y %H:%M:%S")?.and_utc();
        let calendar = LocalCalendar::new(0).features(at).map(|value| value as f32);
        for (column, value) in columns.iter_mut().zip(inputs.into_iter().chain(calendar)) {
            column.push(value);
        }
        times.push(at);
        target.push(power);
    }
    Ok((times, columns, target))
}
