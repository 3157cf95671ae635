//! `train`: the lake becomes a model that serves, or does not.

use std::collections::BTreeMap;

use kilowatch_batch::{
    BatchError,
    jobs::train::{Promotion, TrainReport, TrainRequest, declared_models, train},
    training::TrainError,
};
use kilowatch_shared::{
    detect::isolation_forest::IsolationForestModel,
    job::JobStatus,
    lake::SegmentLake,
    model::{ModelKind, load_estimate, load_forecast},
};

use crate::{
    bench_room::{Room, instant, uci},
    history::{WEEK, file, ten_minute_room},
};

async fn train_kind(room: &Room, kind: ModelKind) -> Result<TrainReport, BatchError> {
    train(&room.deps, &room.profile, &TrainRequest::of(kind)).await
}

#[tokio::test]
async fn a_trained_estimate_serves_and_a_second_run_changes_nothing() {
    let room = ten_minute_room().await;
    room.ingest_bytes("history.txt", &file(0..2 * WEEK)).await;
    let report = train_kind(&room, ModelKind::Estimate).await.unwrap();
    assert_eq!(report.promotion, Promotion::Promoted);
    assert_eq!(report.rows, (2 * WEEK as u64) * 4 / 5);
    let metrics = report.metrics.unwrap();
    assert!(metrics.r2 > 0.9 && metrics.rmse < report.baselines["training_mean"].rmse, "{report:?}");
    assert!(report.baselines.contains_key("apparent_power"), "{report:?}");

    let model = load_estimate(room.deps.lake.as_ref(), &report.model_id).await.unwrap();
    let names: Vec<&str> = model.inputs().iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["voltage", "current", "sub_metering_1", "sub_metering_2", "sub_metering_3"]);
    let given: BTreeMap<String, f64> = model.inputs().iter().map(|input| (input.name.clone(), input.min)).collect();
    let said = model.predict(&given, instant("2007-01-08T05:00:00Z")).unwrap();
    let expected = 0.95 * given["voltage"] * given["current"] / 1000.0;
    assert!((said - expected).abs() < 0.2, "{said} is far from {expected}");

    let again = train_kind(&room, ModelKind::Estimate).await.unwrap();
    assert_eq!((again.model_id, again.promotion), (report.model_id, Promotion::AlreadyServing));
    assert_eq!(room.deps.views.models(&room.profile.name, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_history_in_other_files_gives_the_same_bytes() {
    let (one, two) = (ten_minute_room().await, ten_minute_room().await);
    one.ingest_bytes("all.txt", &file(0..6 * WEEK)).await;
    two.ingest_bytes("late.txt", &file(3 * WEEK..6 * WEEK)).await;
    two.ingest_bytes("early.txt", &file(0..3 * WEEK)).await;
    for kind in declared_models(&one.profile) {
        let (a, b) = (train_kind(&one, kind).await.unwrap(), train_kind(&two, kind).await.unwrap());
        assert_eq!(a.model_id, b.model_id, "{kind:?}");
    }
}

#[tokio::test]
async fn another_seed_is_another_model() {
    let room = ten_minute_room().await;
    room.ingest_bytes("history.txt", &file(0..WEEK)).await;
    let with_seed = async |seed| {
        let request = TrainRequest { seed, promote: false, ..TrainRequest::of(ModelKind::Estimate) };
        train(&room.deps, &room.profile, &request).await.unwrap()
    };
    let (one, two) = (with_seed(1).await, with_seed(2).await);
    assert_ne!(one.model_id, two.model_id);
    assert_eq!(one.promotion, Promotion::NotAsked);
    assert_eq!(room.deps.views.serving_model(&room.profile.name, ModelKind::Estimate).await.unwrap(), None);
    assert_eq!(room.deps.views.models(&room.profile.name, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn readings_with_a_missing_value_or_after_the_end_are_not_learned_from() {
    let room = ten_minute_room().await;
    room.ingest_bytes("history.txt", &file(0..WEEK)).await;
    let alone = train_kind(&room, ModelKind::Estimate).await.unwrap();
    room.ingest_bytes(
        "missing.txt",
        &uci(&["7/1/2007;23:55:00;?;?;?;?;?;?;", "7/1/2007;23:56:00;1.0;?;240.0;?;0;0;0"]),
    )
    .await;
    assert_eq!(train_kind(&room, ModelKind::Estimate).await.unwrap().model_id, alone.model_id);

    room.ingest_bytes("later.txt", &file(WEEK..2 * WEEK)).await;
    let until = Some(instant("2007-01-07T23:00:00Z"));
    let request = TrainRequest { until, ..TrainRequest::of(ModelKind::Estimate) };
    assert_eq!(train(&room.deps, &room.profile, &request).await.unwrap().model_id, alone.model_id);
    assert_ne!(train_kind(&room, ModelKind::Estimate).await.unwrap().model_id, alone.model_id);
}

#[tokio::test]
async fn a_model_that_does_not_beat_the_mean_is_kept_but_does_not_serve() {
    let room = ten_minute_room().await;
    // The measures say nothing of the power.
    let lines: Vec<String> = (0..1000_u64)
        .map(|row| {
            let (day, minute) = (1 + row / 144, row % 144 * 10);
            let power = row.wrapping_mul(6_364_136_223_846_793_005) >> 40 & 0xfff;
            format!("{day}/1/2007;{:02}:{:02}:00;{power}.0;0.1;240.0;1.0;0;0;0", minute / 60, minute % 60)
        })
        .collect();
    room.ingest_bytes("noise.txt", &uci(&lines.iter().map(String::as_str).collect::<Vec<_>>())).await;
    let report = train_kind(&room, ModelKind::Estimate).await.unwrap();
    let Promotion::Refused { reason } = &report.promotion else { panic!("{report:?}") };
    assert!(reason.contains("does not beat training_mean"), "{reason}");
    assert_eq!(room.deps.views.serving_model(&room.profile.name, ModelKind::Estimate).await.unwrap(), None);
    assert_eq!(room.deps.views.models(&room.profile.name, 10).await.unwrap()[0].id, report.model_id);
}

#[tokio::test]
async fn an_isolation_forest_is_grown_from_the_whole_history_and_tells_its_alarm_rate() {
    let room = ten_minute_room().await;
    room.ingest_bytes("history.txt", &file(0..3 * WEEK)).await;
    let report = train_kind(&room, ModelKind::IsolationForest).await.unwrap();
    assert_eq!(report.promotion, Promotion::Promoted);
    assert_eq!((report.rows, report.metrics), (3 * WEEK as u64, None));
    let rate = report.params["alarm_rate"].as_f64().unwrap();
    assert!((0.0..=0.03).contains(&rate), "{report:?}");
    let bytes = room.deps.lake.load_model(&report.model_id).await.unwrap();
    let model = IsolationForestModel::from_bytes(&bytes).unwrap();
    assert_eq!(model.feature_names().collect::<Vec<_>>(), report.features);
}

#[tokio::test]
async fn too_short_a_history_says_what_is_needed_and_leaves_a_failed_run() {
    let room = ten_minute_room().await;
    for kind in declared_models(&room.profile) {
        let error = train_kind(&room, kind).await.unwrap_err();
        assert!(matches!(error, BatchError::Train(TrainError::TooLittle { found: 0, .. })), "{error:?}");
    }
    room.ingest_bytes("history.txt", &file(0..2 * WEEK)).await;
    let error = train_kind(&room, ModelKind::Forecast).await.unwrap_err().to_string();
    assert!(error.contains("336 hours of history of one device"), "{error}");
    let runs = room.deps.views.recent_job_runs(&room.profile.name, 10).await.unwrap();
    assert_eq!(runs.iter().filter(|run| run.job.starts_with("train_") && run.status == JobStatus::Failed).count(), 4);
}

#[tokio::test]
async fn the_forecast_model_beats_the_naive_methods_and_names_what_it_takes() {
    let room = ten_minute_room().await;
    room.ingest_bytes("history.txt", &file(0..10 * WEEK)).await;
    let report = train_kind(&room, ModelKind::Forecast).await.unwrap();
    assert_eq!(report.promotion, Promotion::Promoted, "{report:?}");
    let names: Vec<&str> = report.baselines.keys().map(String::as_str).collect();
    assert_eq!(names, ["persistence", "seasonal_naive_day", "seasonal_naive_week", "training_mean"]);
    let coverage = report.params["interval_coverage"].as_f64().unwrap();
    assert!((0.6..=0.98).contains(&coverage), "{coverage}");
    let model = load_forecast(room.deps.lake.as_ref(), &report.model_id).await.unwrap();
    assert_eq!(model.features, report.features);
    assert!(load_estimate(room.deps.lake.as_ref(), &report.model_id).await.is_err());
}
