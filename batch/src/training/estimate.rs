//! Training the estimate: past rows grow the forest, future rows judge it.

use std::time::Instant;

use chrono::{DateTime, Utc};
use kilowatch_shared::model::{EstimateModel, InputRange, LocalCalendar, ModelError};

use super::{
    error::TrainError,
    evaluation::Evaluation,
    forest::{ForestParams, grow_forest},
    split::{cut_at_share, rows_before},
};
use crate::features::FeatureTable;

/// Share of the rows that the forest grows from; the later fifth is held out.
const TRAIN_SHARE: f64 = 0.8;

/// Fewest rows to learn from: with fewer, the held-out fifth is a handful of readings that prove nothing.
pub const MIN_ROWS: usize = 100;

/// What is estimated, and from what.
#[derive(Debug, Clone, PartialEq)]
pub struct EstimateSpec {
    /// The measure that is estimated.
    pub target: String,
    /// The measures that it is estimated from: the first columns of the table, before the calendar's.
    pub inputs: Vec<String>,
    /// Local time.
    pub calendar: LocalCalendar,
    /// A voltage and a current among the inputs whose product, in kVA, is a first guess of the target.
    pub apparent_power: Option<(String, String)>,
}

/// A trained estimate and what it is worth.
#[derive(Debug, Clone)]
pub struct TrainedEstimate {
    /// The model.
    pub model: EstimateModel,
    /// How many rows it grew from.
    pub train_rows: usize,
    /// Where the held-out rows begin; all training rows are earlier.
    pub test_from: DateTime<Utc>,
    /// Its worth on the held-out rows.
    pub evaluation: Evaluation,
    /// How long the forest took to grow.
    pub fit_seconds: f64,
}

/// Trains on the earlier four fifths of the rows and judges on the rest.
///
/// # Errors
/// [`TrainError`].
pub fn train_estimate(
    table: &FeatureTable,
    spec: &EstimateSpec,
    params: &ForestParams,
    seed: u64,
) -> Result<TrainedEstimate, TrainError> {
    let too_little = || TrainError::TooLittle {
        what: "complete readings at different times",
        found: table.rows() as u64,
        needed: MIN_ROWS as u64,
        until: table.times.last().copied().unwrap_or_default(),
    };
    if table.rows() < MIN_ROWS {
        return Err(too_little());
    }
    let test_from = cut_at_share(&table.times, TRAIN_SHARE).ok_or_else(too_little)?;
    let train_rows = rows_before(&table.times, test_from);
    let past: Vec<&[f32]> = table.columns.iter().map(|column| &column[..train_rows]).collect();
    let (past_target, future_target) = table.target.split_at(train_rows);
    let start = Instant::now();
    let forest = grow_forest(&past, past_target, params, seed)?;
    let fit_seconds = start.elapsed().as_secs_f64();
    let future = train_rows..table.rows();
    let predicted: Vec<f64> = future.clone().map(|at| forest.predict(&table.row(at))).collect();
    let mut methods = vec![
        ("training_mean", true, vec![mean(past_target); future.len()]),
        ("training_mean_of_the_hour", true, hour_means(table, train_rows)),
    ];
    methods.extend(apparent_power(table, spec, train_rows).map(|said| ("apparent_power", false, said)));
    let evaluation = Evaluation::of(future_target, &predicted, &methods).ok_or_else(too_little)?;
    let inputs = spec.inputs.iter().zip(&past).map(|(name, column)| input_range(name, column)).collect();
    let model = EstimateModel::new(spec.target.clone(), inputs, spec.calendar, forest)
        .ok_or_else(|| ModelError::Unreadable { reason: "its features are not those of the table".to_owned() })?;
    Ok(TrainedEstimate { model, train_rows, test_from, evaluation, fit_seconds })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn input_range(name: &str, column: &[f32]) -> InputRange {
    let (min, max) = column.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(min, max), v| (min.min(*v), max.max(*v)));
    InputRange { name: name.to_owned(), min: decimal(min), max: decimal(max) }
}

/// The number that people wrote down: 223.2 and not 223.1999969482422, which is how its single precision reads.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// For each held-out row, the mean of the training rows of its hour of the day.
fn hour_means(table: &FeatureTable, train_rows: usize) -> Vec<f64> {
    let overall = mean(&table.target[..train_rows]);
    let Some(hours) = table.column("hour") else { return vec![overall; table.rows() - train_rows] };
    let mut sums = [(0_u32, 0.0); 24];
    let place = |hour: f32| (hour as usize).min(23);
    for (hour, target) in hours.iter().zip(&table.target).take(train_rows) {
        let sum = &mut sums[place(*hour)];
        *sum = (sum.0 + 1, sum.1 + target);
    }
    let mean_of = |hour: &f32| match sums[place(*hour)] {
        (0, _) => overall,
        (count, sum) => sum / f64::from(count),
    };
    hours[train_rows..].iter().map(mean_of).collect()
}

fn apparent_power(table: &FeatureTable, spec: &EstimateSpec, train_rows: usize) -> Option<Vec<f64>> {
    let (volts, amperes) = spec.apparent_power.as_ref()?;
    let (volts, amperes) = (table.column(volts)?, table.column(amperes)?);
    let kilo = |(v, a): (&f32, &f32)| f64::from(*v) * f64::from(*a) / 1000.0;
    Some(volts.iter().zip(amperes).skip(train_rows).map(kilo).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::TimeDelta;

    use super::*;

    fn spec() -> EstimateSpec {
        EstimateSpec {
            target: "active_power".to_owned(),
            inputs: vec!["voltage".to_owned(), "current".to_owned()],
            calendar: LocalCalendar::new(0),
            apparent_power: Some(("voltage".to_owned(), "current".to_owned())),
        }
    }

    /// Power is 0.9 of voltage times current; the current runs through its range over and over.
    fn table(rows: usize) -> FeatureTable {
        let names = ["voltage", "current", "hour", "day_of_week", "month"].map(str::to_owned).to_vec();
        let mut table = FeatureTable::new(names);
        for at in 0..rows {
            let time = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(7 * at as i64);
            let (volts, amperes) = (238.0 + (at % 5) as f32, (4 + at * 7 % 100 * 2) as f32 / 10.0);
            let calendar = LocalCalendar::new(0).features(time).map(|value| value as f32);
            for (column, value) in table.columns.iter_mut().zip([volts, amperes].into_iter().chain(calendar)) {
                column.push(value);
            }
            table.target.push(0.9 * f64::from(volts) * f64::from(amperes) / 1000.0);
            table.times.push(time);
        }
        table
    }

    #[test]
    fn the_estimate_beats_the_means_and_stands_beside_the_formula() {
        let trained = train_estimate(&table(2000), &spec(), &ForestParams::default(), 1).unwrap();
        assert_eq!((trained.train_rows, trained.evaluation.metrics.rows), (1600, 400));
        assert!(trained.evaluation.metrics.r2 > 0.95, "{:?}", trained.evaluation);
        assert_eq!(trained.evaluation.beaten_by(), None);
        let names: Vec<&str> = trained.evaluation.baselines.iter().map(|baseline| baseline.name).collect();
        assert_eq!(names, ["training_mean", "training_mean_of_the_hour", "apparent_power"]);
        assert!(trained.evaluation.baselines[0].metrics.r2 <= 0.0);
    }

    #[test]
    fn the_model_tells_the_ranges_that_it_saw_as_people_write_them() {
        let trained = train_estimate(&table(500), &spec(), &ForestParams::default(), 1).unwrap();
        let range = |name: &str, min, max| InputRange { name: name.to_owned(), min, max };
        assert_eq!(trained.model.inputs(), [range("voltage", 238.0, 242.0), range("current", 0.4, 20.2)]);
        let given = BTreeMap::from([("voltage".to_owned(), 240.0), ("current".to_owned(), 10.4)]);
        let said = trained.model.predict(&given, DateTime::<Utc>::UNIX_EPOCH).unwrap();
        assert!((said - 0.9 * 2.496).abs() < 0.3, "{said}");
    }

    #[test]
    fn what_happens_in_the_held_out_rows_changes_nothing_in_the_model() {
        let whole = table(600);
        let mut other = whole.clone();
        for at in rows_before(&other.times, cut_at_share(&other.times, TRAIN_SHARE).unwrap())..other.rows() {
            other.target[at] *= 3.0;
            other.columns[1][at] += 100.0;
        }
        let model = |table: &FeatureTable| train_estimate(table, &spec(), &ForestParams::default(), 9).unwrap();
        assert_eq!(model(&whole).model, model(&other).model);
        assert_ne!(model(&whole).evaluation, model(&other).evaluation);
    }

    #[test]
    fn too_few_rows_are_told_with_their_number() {
        let error = train_estimate(&table(99), &spec(), &ForestParams::default(), 1).unwrap_err().to_string();
        assert!(error.starts_with("not enough to learn from: 99 complete readings"), "{error}");
    }
}
