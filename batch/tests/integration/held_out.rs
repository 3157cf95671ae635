//! What a training says of its model is computed again here, from the lake's rows and by the formulas alone.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Float64Type, TimestampMicrosecondType},
};
use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_batch::jobs::train::{TrainReport, TrainRequest, train};
use kilowatch_shared::{
    lake::LakeTable,
    model::{ModelKind, ModelManifest, RegressionMetrics, load_estimate},
};

use crate::{
    bench_room::{Room, UCI_HEADER, instant},
    history::{WEEK, file, ten_minute_room},
};

const INPUTS: [&str; 5] = ["voltage", "current", "sub_metering_1", "sub_metering_2", "sub_metering_3"];

async fn trained(room: &Room, kind: ModelKind) -> (TrainReport, ModelManifest) {
    let report = train(&room.deps, &room.profile, &TrainRequest::of(kind)).await.unwrap();
    let listed = room.deps.views.models(&room.profile.name, 10).await.unwrap();
    let manifest = listed.into_iter().find(|manifest| manifest.id == report.model_id).unwrap();
    (report, manifest)
}

/// RMSE, MAE and R2 as textbooks have them.
fn assert_metrics(said: &RegressionMetrics, pairs: &[(f64, f64)], tolerance: f64) {
    assert_eq!(said.rows, pairs.len() as u64);
    let rows = pairs.len() as f64;
    let mean = pairs.iter().map(|(observed, _)| observed).sum::<f64>() / rows;
    let squares: f64 = pairs.iter().map(|(observed, predicted)| (observed - predicted).powi(2)).sum();
    let mae = pairs.iter().map(|(observed, predicted)| (observed - predicted).abs()).sum::<f64>() / rows;
    let r2 = 1.0 - squares / pairs.iter().map(|(observed, _)| (observed - mean).powi(2)).sum::<f64>();
    for (said, computed) in [(said.rmse, (squares / rows).sqrt()), (said.mae, mae), (said.r2, r2)] {
        assert!((said - computed).abs() <= tolerance, "{said} is told, {computed} is computed");
    }
}

fn column(batches: &[RecordBatch], name: &str) -> Vec<f64> {
    let columns = batches.iter().map(|batch| batch.column_by_name(name).unwrap().as_primitive::<Float64Type>());
    columns.flat_map(|column| column.iter().map(|value| value.unwrap())).collect()
}

fn times(batches: &[RecordBatch]) -> Vec<DateTime<Utc>> {
    let columns = batches.iter().map(|batch| batch.column(0).as_primitive::<TimestampMicrosecondType>());
    columns
        .flat_map(|column| {
            assert_eq!(column.null_count(), 0);
            column.values().iter().map(|at| DateTime::from_timestamp_micros(*at).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn the_errors_of_the_estimate_are_those_of_the_newest_fifth_which_it_never_saw() {
    let room = ten_minute_room().await;
    room.ingest_bytes("history.txt", &file(0..2 * WEEK)).await;
    let (report, manifest) = trained(&room, ModelKind::Estimate).await;
    let model = load_estimate(room.deps.lake.as_ref(), &report.model_id).await.unwrap();

    let sql = format!("SELECT event_time, active_power, {} FROM readings ORDER BY event_time", INPUTS.join(", "));
    let rows = room.query(LakeTable::Readings, &sql).await;
    let (times, power) = (times(&rows), column(&rows, "active_power"));
    let inputs: Vec<Vec<f64>> = INPUTS.iter().map(|name| column(&rows, name)).collect();
    let first_held_out = times.iter().position(|at| *at >= manifest.train_until).unwrap();
    assert_eq!((manifest.train_rows, first_held_out), (first_held_out as u64, times.len() * 4 / 5));

    let future = first_held_out..times.len();
    let said = |row: usize| {
        let given: BTreeMap<String, f64> =
            INPUTS.iter().zip(&inputs).map(|(name, column)| ((*name).to_owned(), column[row])).collect();
        model.predict(&given, times[row]).unwrap()
    };
    let pairs: Vec<(f64, f64)> = future.clone().map(|row| (power[row], said(row))).collect();
    assert_metrics(&report.metrics.unwrap(), &pairs, 1e-9);
    let mean = power[..first_held_out].iter().sum::<f64>() / first_held_out as f64;
    let naive: Vec<(f64, f64)> = future.clone().map(|row| (power[row], mean)).collect();
    assert_metrics(&report.baselines["training_mean"], &naive, 1e-9);
    let formula: Vec<(f64, f64)> = future
        .map(|row| (power[row], f64::from(inputs[0][row] as f32) * f64::from(inputs[1][row] as f32) / 1e3))
        .collect();
    assert_metrics(&report.baselines["apparent_power"], &formula, 1e-9);
}

#[tokio::test]
async fn the_errors_of_the_naive_forecasts_are_those_of_the_issues_that_judge() {
    const HORIZON: i64 = 6;
    let room = ten_minute_room().await;
    room.ingest_bytes("history.txt", &file(0..10 * WEEK)).await;
    let (report, manifest) = trained(&room, ModelKind::Forecast).await;

    let sql = "SELECT date_trunc('hour', event_time) AS hour, AVG(active_power) AS mean FROM readings \
               GROUP BY 1 ORDER BY 1";
    let rows = room.query(LakeTable::Readings, sql).await;
    let (hours, means) = (times(&rows), column(&rows, "mean"));
    assert_eq!(hours[hours.len() - 1] - hours[0], TimeDelta::hours(hours.len() as i64 - 1), "the history has a gap");
    let at = |hour: i64| means.get(usize::try_from(hour).ok()?).copied();
    let hour_of = |name: &str| (instant(report.params[name].as_str().unwrap()) - hours[0]).num_hours();
    let (calibrate_from, judge_from) = (hour_of("calibrated_from"), hour_of("judged_from"));
    assert_eq!(hours[0] + TimeDelta::hours(judge_from), manifest.train_until);
    let first_issue = 168;

    // The forest may only know outcomes that lie before the first calibrating issue.
    let grown: Vec<f64> = (first_issue..calibrate_from)
        .flat_map(|issue| (1..=HORIZON).map(move |horizon| issue + horizon))
        .filter(|target| *target < calibrate_from)
        .filter_map(at)
        .collect();
    assert_eq!(report.rows, grown.len() as u64);
    let mean = grown.iter().sum::<f64>() / grown.len() as f64;

    let judging: Vec<(i64, i64, f64)> = (judge_from..means.len() as i64)
        .flat_map(|issue| (1..=HORIZON).map(move |horizon| (issue, issue + horizon)))
        .filter_map(|(issue, target)| Some((issue, target, at(target)?)))
        .collect();
    let against = |guess: &dyn Fn(i64, i64) -> f64| -> Vec<(f64, f64)> {
        judging.iter().map(|(issue, target, observed)| (*observed, guess(*issue, *target))).collect()
    };
    // Features are single precision, so a naive answer is off by one in ten million.
    let said = &report.baselines;
    assert_metrics(&said["training_mean"], &against(&|_, _| mean), 1e-9);
    assert_metrics(&said["persistence"], &against(&|issue, _| at(issue - 1).unwrap()), 1e-6);
    assert_metrics(&said["seasonal_naive_day"], &against(&|_, target| at(target - 24).unwrap()), 1e-6);
    assert_metrics(&said["seasonal_naive_week"], &against(&|_, target| at(target - 168).unwrap()), 1e-6);
    assert_eq!(report.metrics.unwrap().rows, judging.len() as u64);
}

/// The file with three times the power and other currents from an instant of local time on.
fn altered(bytes: &[u8], from: DateTime<Utc>) -> Vec<u8> {
    let mut text = format!("{UCI_HEADER}\n");
    for line in std::str::from_utf8(bytes).unwrap().lines().skip(1) {
        let mut fields: Vec<String> = line.split(';').map(str::to_owned).collect();
        let local = chrono::NaiveDateTime::parse_from_str(&format!("{} {}", fields[0], fields[1]), "%d/%m/%Y %H:%M:%S");
        if local.unwrap().and_utc() - TimeDelta::hours(1) >= from {
            for field in [2, 5] {
                fields[field] = format!("{:.3}", fields[field].parse::<f64>().unwrap() * 3.0);
            }
        }
        text.push_str(&fields.join(";"));
        text.push('\n');
    }
    text.into_bytes()
}

#[tokio::test]
async fn what_happens_in_the_held_out_time_changes_the_errors_and_not_one_byte_of_a_model() {
    let history = file(0..10 * WEEK);
    let room = ten_minute_room().await;
    room.ingest_bytes("history.txt", &history).await;
    for kind in [ModelKind::Estimate, ModelKind::Forecast] {
        let (report, manifest) = trained(&room, kind).await;
        let other = ten_minute_room().await;
        other.ingest_bytes("altered.txt", &altered(&history, manifest.train_until)).await;
        let (again, _) = trained(&other, kind).await;
        assert_eq!(again.model_id, report.model_id, "{kind:?}");
        assert_ne!(again.metrics, report.metrics, "{kind:?}");
    }
}
