//! Prints RMSE in kW of the forecast of 48 hours ahead beside the naive methods, the coverage of its intervals and the
//! seconds to train, on the household's hours of 2006 to 2009.
//!
//! `KILOWATCH_UCI_HOURLY=.../uci_hourly_2006_2009.csv.gz cargo bench -p kilowatch-batch --bench does_the_forecast_beat_last_week_on_real_hours`

use std::{
    env,
    error::Error,
    fs::File,
    io::{BufRead, BufReader},
};

use chrono::NaiveDateTime;
use flate2::read::MultiGzDecoder;
use kilowatch_batch::{
    features::{HourIndex, HourTotal, HourlySeries},
    training::{
        ForecastSpec,
        forecast::{FOREST, MAX_ROWS},
        train_forecast,
    },
};
use kilowatch_shared::model::LocalCalendar;

fn main() -> Result<(), Box<dyn Error>> {
    let Ok(path) = env::var("KILOWATCH_UCI_HOURLY") else {
        println!("skipped: KILOWATCH_UCI_HOURLY names no file of hours");
        return Ok(());
    };
    let mut totals = Vec::new();
    for line in BufReader::new(MultiGzDecoder::new(File::open(path)?)).lines().skip(1) {
        let line = line?;
        let fields: Vec<&str> = line.split(',').collect();
        let [time, power, .., minutes, _] = fields.as_slice() else { continue };
        let (Ok(power), Ok(count)) = (power.parse::<f64>(), minutes.parse::<u64>()) else { continue };
        let at = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S")?.and_utc();
        totals.push(HourTotal { hour: HourIndex::of(at), count, sum: power * count as f64 });
    }
    let end = totals.iter().map(|total| total.hour).max().ok_or("no hour")?.plus(1);
    let history = HourlySeries::new(&totals, 60.0, end).ok_or("no complete hour")?;
    let spec = ForecastSpec {
        target: "active_power".to_owned(),
        calendar: LocalCalendar::new(0),
        horizon_hours: 48,
        max_rows: MAX_ROWS,
    };
    for seed in 1..=3 {
        let trained = train_forecast(std::slice::from_ref(&history), &spec, &FOREST, seed)?;
        let said = |name: &str, metrics: kilowatch_shared::model::RegressionMetrics| {
            println!("  {name:20} RMSE {:.4} kW, MAE {:.4} kW, R2 {:.4}", metrics.rmse, metrics.mae, metrics.r2);
        };
        println!(
            "seed {seed}: {:.2} s for {} rows, {:.1} % of the outcomes inside the intervals of 80 %, {} rows judged",
            trained.fit_seconds,
            trained.train_rows,
            100.0 * trained.coverage,
            trained.evaluation.metrics.rows,
        );
        said("forecast", trained.evaluation.metrics);
        for baseline in &trained.evaluation.baselines {
            said(baseline.name, baseline.metrics);
        }
    }
    Ok(())
}
