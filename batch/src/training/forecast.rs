//! Training the forecast: past issues grow the forest, later ones size its intervals, the latest judge both.

use std::time::Instant;

use kilowatch_shared::model::{ForecastModel, LocalCalendar, ModelError};

use super::{
    conformal::{Residual, conformal_intervals},
    error::TrainError,
    evaluation::Evaluation,
    forest::{ForestParams, grow_forest},
};
use crate::features::{
    HourIndex, HourlySeries, ISSUE_FEATURES, IssueTable,
    issue::{LAST_HOUR, SAME_HOUR_LATEST_DAY, SAME_HOUR_LATEST_WEEK},
    issue_table::WARM_UP_HOURS,
};

/// Shares of the issues' time span after which growing ends and judging begins; between them intervals are sized.
const CALIBRATE_FROM: f64 = 0.65;
const TEST_FROM: f64 = 0.8;

/// Nominal coverage of the intervals: four of five outcomes inside says when tomorrow is unusual without being so wide
/// that it says nothing.
pub const INTERVAL_LEVEL: f64 = 0.8;

/// Shortest history in hours, the warm-up week included: four more weeks leave five days to judge.
pub const MIN_HISTORY_HOURS: i64 = WARM_UP_HOURS + 4 * 168;

/// Rows of (issue, horizon) to learn from: 4,000 issues of 48 hours, half a year of hourly issues, in about 15 MB.
/// A longer history is visited in larger steps.
pub const MAX_ROWS: usize = 200_000;

/// How the forest grows. Hours differ more from each other than the minutes of the estimate, and the rows of one issue
/// resemble each other: leaves of 20 rows keep a tree from learning single days by heart.
pub const FOREST: ForestParams =
    ForestParams { trees: 40, max_depth: 12, features_per_split: 0, min_leaf_rows: 20, max_rows_per_tree: 262_144 };

/// What is forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastSpec {
    /// The measure.
    pub target: String,
    /// Local time.
    pub calendar: LocalCalendar,
    /// Hours ahead, from 1.
    pub horizon_hours: u32,
    /// About how many rows of (issue, horizon) to learn from at most.
    pub max_rows: usize,
}

/// A trained forecast and what it is worth.
#[derive(Debug, Clone)]
pub struct TrainedForecast {
    /// The model.
    pub model: ForecastModel,
    /// How many rows it grew from.
    pub train_rows: usize,
    /// The first issue of its training rows.
    pub train_from: HourIndex,
    /// From here on issues size the intervals; all outcomes of training rows lie before.
    pub calibrate_from: HourIndex,
    /// From here on issues judge; all outcomes that sized an interval lie before.
    pub test_from: HourIndex,
    /// Its worth on the judging issues, where the naive methods have an answer too.
    pub evaluation: Evaluation,
    /// Share of the outcomes of the judging issues that lay inside their interval.
    pub coverage: f64,
    /// How long the forest took to grow.
    pub fit_seconds: f64,
}

/// Trains one forest for all horizons (the horizon is a feature) on all devices.
///
/// # Errors
/// [`TrainError`].
pub fn train_forecast(
    devices: &[HourlySeries],
    spec: &ForecastSpec,
    params: &ForestParams,
    seed: u64,
) -> Result<TrainedForecast, TrainError> {
    let longest = devices.iter().map(|device| device.end().since(device.first())).max().unwrap_or(0);
    let end = devices.iter().map(HourlySeries::end).max();
    let too_little = || TrainError::TooLittle {
        what: "hours of history of one device",
        found: u64::try_from(longest).unwrap_or(0),
        needed: MIN_HISTORY_HOURS as u64,
        until: end.map(HourIndex::start).unwrap_or_default(),
    };
    if longest < MIN_HISTORY_HOURS {
        return Err(too_little());
    }
    let table = IssueTable::new(devices, spec.calendar, spec.horizon_hours, spec.max_rows);
    let periods = Periods::of(&table).ok_or_else(too_little)?;
    let past = periods.rows(&table, Period::Grow);
    let Some(&first_row) = past.first() else { return Err(too_little()) };

    let medians: Vec<f64> = table.columns.iter().map(|column| median(past.iter().map(|row| column[*row]))).collect();
    let filled: Vec<Vec<f32>> = table
        .columns
        .iter()
        .zip(&medians)
        .map(|(column, median)| past.iter().map(|row| known_or(column[*row], *median)).collect())
        .collect();
    let columns: Vec<&[f32]> = filled.iter().map(Vec::as_slice).collect();
    let past_outcome: Vec<f64> = past.iter().map(|row| table.outcome[*row]).collect();
    let start = Instant::now();
    let forest = grow_forest(&columns, &past_outcome, params, seed)?;
    let fit_seconds = start.elapsed().as_secs_f64();

    let mut model = ForecastModel {
        target: spec.target.clone(),
        calendar: spec.calendar,
        features: ISSUE_FEATURES.map(str::to_owned).to_vec(),
        medians,
        interval_level: INTERVAL_LEVEL,
        intervals: Vec::new(),
        floor: past_outcome.iter().all(|value| *value >= 0.0).then_some(0.0),
        forest,
    };
    let said = |model: &ForecastModel, row: usize| {
        let features: Vec<Option<f64>> = ISSUE_FEATURES.iter().map(|name| table.known(row, name)).collect();
        model.predict(&features, table.horizons[row])
    };
    let residual = |row: usize| {
        let error = table.outcome[row] - said(&model, row).value;
        Residual { horizon_hours: table.horizons[row], error }
    };
    let residuals: Vec<Residual> = periods.rows(&table, Period::Calibrate).into_iter().map(residual).collect();
    model.intervals = conformal_intervals(&residuals, spec.horizon_hours, INTERVAL_LEVEL);
    if !model.is_sound() {
        return Err(
            ModelError::Unreadable { reason: "no outcome is there to size its intervals with".to_owned() }.into()
        );
    }

    let future = periods.rows(&table, Period::Judge);
    let inside = |row: &&usize| {
        let hour = said(&model, **row);
        (hour.low..=hour.high).contains(&table.outcome[**row])
    };
    let coverage = future.iter().filter(inside).count() as f64 / future.len().max(1) as f64;
    let naive = [LAST_HOUR, SAME_HOUR_LATEST_DAY, SAME_HOUR_LATEST_WEEK];
    let comparable: Vec<usize> =
        future.into_iter().filter(|row| naive.iter().all(|name| table.known(*row, name).is_some())).collect();
    let observed: Vec<f64> = comparable.iter().map(|row| table.outcome[*row]).collect();
    let predicted: Vec<f64> = comparable.iter().map(|row| said(&model, *row).value).collect();
    let by_name = |name| comparable.iter().filter_map(|row| table.known(*row, name)).collect();
    let mean = past_outcome.iter().sum::<f64>() / past_outcome.len() as f64;
    let methods = [
        ("training_mean", true, vec![mean; comparable.len()]),
        ("persistence", true, by_name(LAST_HOUR)),
        ("seasonal_naive_day", true, by_name(SAME_HOUR_LATEST_DAY)),
        ("seasonal_naive_week", true, by_name(SAME_HOUR_LATEST_WEEK)),
    ];
    let evaluation = Evaluation::of(&observed, &predicted, &methods).ok_or_else(too_little)?;
    Ok(TrainedForecast {
        model,
        train_rows: past.len(),
        train_from: table.issues[first_row],
        calibrate_from: periods.calibrate_from,
        test_from: periods.test_from,
        evaluation,
        coverage,
        fit_seconds,
    })
}

fn known_or(value: f32, median: f64) -> f32 {
    if value.is_nan() { median as f32 } else { value }
}

/// Median of the known values; 0 where none is known, for then the forest never splits on the feature.
fn median(values: impl Iterator<Item = f32>) -> f64 {
    let mut known: Vec<f32> = values.filter(|value| !value.is_nan()).collect();
    if known.is_empty() {
        return 0.0;
    }
    let middle = known.len() / 2;
    f64::from(*known.select_nth_unstable_by(middle, f32::total_cmp).1)
}

/// What the rows of a time are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Period {
    Grow,
    Calibrate,
    Judge,
}

/// Three spans of time. A row belongs to one of them only if both its issue and its outcome do, so nothing that was
/// learned reaches into the time in which it is used: the rows whose outcome lies across a limit are the gap.
#[derive(Debug, Clone, Copy)]
struct Periods {
    calibrate_from: HourIndex,
    test_from: HourIndex,
}

impl Periods {
    fn of(table: &IssueTable) -> Option<Self> {
        let (first, last) = (*table.issues.first()?, *table.issues.last()?);
        let at = |share: f64| first.plus((last.since(first) as f64 * share) as i64);
        Some(Self { calibrate_from: at(CALIBRATE_FROM), test_from: at(TEST_FROM) })
    }

    fn rows(&self, table: &IssueTable, period: Period) -> Vec<usize> {
        let belongs = |row: &usize| {
            let (issue, target) = (table.issues[*row], table.target_hour(*row));
            match period {
                Period::Grow => target < self.calibrate_from,
                Period::Calibrate => issue >= self.calibrate_from && target < self.test_from,
                Period::Judge => issue >= self.test_from,
            }
        };
        (0..table.rows()).filter(belongs).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use rand::{Rng, RngExt};
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

    use super::*;
    use crate::features::HourTotal;

    fn start() -> HourIndex {
        HourIndex::of(DateTime::<Utc>::UNIX_EPOCH)
    }

    /// A week's pattern with noise: evenings and weekends take more.
    fn weekly(weeks: i64, noise: f64, rng: &mut impl Rng) -> HourlySeries {
        let totals: Vec<HourTotal> = (0..weeks * 168)
            .map(|at| {
                let (hour, day) = (at % 24, at / 24 % 7);
                let base = 1.0 + f64::from(u8::from((17..22).contains(&hour))) + 0.8 * f64::from(u8::from(day >= 5));
                HourTotal { hour: start().plus(at), count: 1, sum: base + noise * rng.random_range(-1.0..1.0) }
            })
            .collect();
        HourlySeries::new(&totals, 1.0, start().plus(1_000_000)).unwrap()
    }

    fn spec() -> ForecastSpec {
        let calendar = LocalCalendar::new(0);
        ForecastSpec { target: "active_power".to_owned(), calendar, horizon_hours: 48, max_rows: 12_000 }
    }

    fn trained(weeks: i64, seed: u64) -> TrainedForecast {
        let history = weekly(weeks, 0.5, &mut ChaCha8Rng::seed_from_u64(11));
        let params = ForestParams { trees: 10, min_leaf_rows: 5, ..ForestParams::default() };
        train_forecast(&[history], &spec(), &params, seed).unwrap()
    }

    #[test]
    fn the_forecast_beats_every_naive_method_on_a_weekly_pattern_and_its_intervals_cover_what_they_promise() {
        let trained = trained(20, 1);
        let evaluation = &trained.evaluation;
        assert_eq!(evaluation.beaten_by(), None, "{evaluation:?}");
        let week = evaluation.baselines.iter().find(|baseline| baseline.name == "seasonal_naive_week").unwrap();
        // The noise has a standard deviation of 0.29; naive doubles its variance, a good model stays near it.
        assert!(evaluation.metrics.rmse < 0.33 && week.metrics.rmse > 0.38, "{evaluation:?}");
        assert!((0.7..0.9).contains(&trained.coverage), "{}", trained.coverage);
    }

    #[test]
    fn the_same_history_and_seed_give_the_same_model() {
        assert_eq!(trained(6, 5).model, trained(6, 5).model);
        assert_ne!(trained(6, 5).model, trained(6, 6).model);
    }

    #[test]
    fn nothing_after_the_limits_reaches_the_model_or_its_intervals() {
        let trained = trained(8, 2);
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let history = weekly(8, 0.5, &mut rng);
        let altered: Vec<HourTotal> = (0..8 * 168)
            .map(|at| start().plus(at))
            .filter_map(|hour| Some((hour, history.at(hour)?)))
            .map(|(hour, value)| HourTotal {
                hour,
                count: 1,
                sum: if hour < trained.test_from { value } else { 9.0 * value },
            })
            .collect();
        let altered = HourlySeries::new(&altered, 1.0, start().plus(1_000_000)).unwrap();
        let params = ForestParams { trees: 10, min_leaf_rows: 5, ..ForestParams::default() };
        let other = train_forecast(&[altered], &spec(), &params, 2).unwrap();
        assert_eq!(trained.model, other.model);
        assert_ne!(trained.evaluation, other.evaluation);
    }

    #[test]
    fn periods_do_not_overlap_in_issues_or_outcomes() {
        let table =
            IssueTable::new(&[weekly(6, 0.1, &mut ChaCha8Rng::seed_from_u64(1))], LocalCalendar::new(0), 48, 9000);
        let periods = Periods::of(&table).unwrap();
        let latest = |period| periods.rows(&table, period).into_iter().map(|row| table.target_hour(row)).max().unwrap();
        let earliest = |period| periods.rows(&table, period).into_iter().map(|row| table.issues[row]).min().unwrap();
        assert!(latest(Period::Grow) < earliest(Period::Calibrate));
        assert!(latest(Period::Calibrate) < earliest(Period::Judge));
    }

    #[test]
    fn too_short_a_history_is_told_with_its_hours() {
        let history = weekly(4, 0.1, &mut ChaCha8Rng::seed_from_u64(1));
        let error = train_forecast(&[history], &spec(), &ForestParams::default(), 1).unwrap_err().to_string();
        assert!(error.starts_with("not enough to learn from: 672 hours"), "{error}");
        assert!(train_forecast(&[], &spec(), &ForestParams::default(), 1).is_err());
    }
}
