//! `forecast`: the serving model's word on the hours ahead, as a vintage.

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_batch::{
    BatchError,
    jobs::{
        forecast::{ForecastReport, ForecastRequest, forecast},
        train::{TrainRequest, train},
    },
};
use kilowatch_shared::{forecast::ForecastVintage, job::JobStatus, model::ModelKind};

use crate::{
    bench_room::{Room, instant},
    history::{WEEK, file, ten_minute_room},
};

async fn issue(room: &Room, issued_at: Option<DateTime<Utc>>) -> Result<ForecastReport, BatchError> {
    forecast(&room.deps, &room.profile, &ForecastRequest { issued_at, as_of: None }).await
}

async fn newest(room: &Room) -> ForecastVintage {
    room.deps.views.latest_forecast(&room.profile.name, None).await.unwrap().unwrap()
}

async fn vintages(room: &Room) -> u64 {
    room.deps.views.counts(&room.profile.name, "active_power", 3600).await.unwrap().forecasts
}

async fn trained_room() -> Room {
    let room = ten_minute_room().await;
    room.ingest_bytes("history.txt", &file(0..10 * WEEK)).await;
    train(&room.deps, &room.profile, &TrainRequest::of(ModelKind::Forecast)).await.unwrap();
    room
}

/// The end of the ten weeks: midnight local time, which is 23:00 UTC.
fn end() -> DateTime<Utc> {
    instant("2007-03-11T23:00:00Z")
}

#[tokio::test]
async fn without_a_model_nothing_is_forecast_and_the_run_says_so() {
    let room = ten_minute_room().await;
    let report = issue(&room, None).await.unwrap();
    assert_eq!((report.model_id, report.issued.len()), (None, 0));
    let runs = room.deps.views.recent_job_runs(&room.profile.name, 1).await.unwrap();
    assert_eq!((runs[0].job.as_str(), runs[0].status), ("forecast", JobStatus::Skipped));
    assert!(runs[0].message.contains("train one"), "{}", runs[0].message);
}

#[tokio::test]
async fn a_history_that_ended_long_ago_is_forecast_as_of_its_end_once() {
    let room = trained_room().await;
    let report = issue(&room, None).await.unwrap();
    assert!(report.issued[0].at_end_of_history);
    let vintage = newest(&room).await;
    assert_eq!(vintage.issued_at, end());
    assert_eq!(vintage.points.len(), 6);
    for (point, horizon) in vintage.points.iter().zip(1..) {
        assert_eq!(point.horizon_hours, horizon);
        assert_eq!(point.target_time, end() + TimeDelta::hours(i64::from(horizon)));
        assert!(point.low <= point.value && point.value <= point.high && point.low >= 0.0, "{point:?}");
        // At night the meter takes some 0.9 kW on weekdays.
        assert!((0.6..1.4).contains(&point.value), "{point:?}");
    }
    issue(&room, None).await.unwrap();
    assert_eq!(vintages(&room).await, 1);
}

#[tokio::test]
async fn what_came_after_the_issue_is_not_known_to_the_forecast() {
    let (short, long) = (trained_room().await, trained_room().await);
    long.ingest_bytes("later.txt", &file(10 * WEEK..11 * WEEK)).await;
    let at = Some(end() + TimeDelta::minutes(20));
    issue(&short, at).await.unwrap();
    issue(&long, at).await.unwrap();
    let (short, long) = (newest(&short).await, newest(&long).await);
    assert_eq!(short.issued_at, end());
    assert_eq!((short.model_id, short.points), (long.model_id, long.points));
}

#[tokio::test]
async fn a_forecast_of_the_past_by_a_model_that_saw_it_is_refused() {
    let room = trained_room().await;
    let error = issue(&room, Some(instant("2007-02-01T00:00:00Z"))).await.unwrap_err();
    assert!(matches!(error, BatchError::Hindsight { .. }), "{error:?}");
    assert_eq!(vintages(&room).await, 0);
}

#[tokio::test]
async fn a_device_without_recent_hours_is_forecast_from_medians_when_it_is_asked_for() {
    let room = trained_room().await;
    let report = issue(&room, Some(instant("2007-12-24T12:00:00Z"))).await.unwrap();
    assert_eq!(report.issued[0].known_until, end());
    assert!(newest(&room).await.points.iter().all(|point| point.value.is_finite() && point.value > 0.0));
}

#[tokio::test]
async fn the_household_is_forecast_exactly_48_hours_ahead_and_once_an_hour() {
    let mut room = Room::new().await;
    room.profile.interval_secs = 600;
    room.ingest_bytes("history.txt", &file(0..6 * WEEK)).await;
    let trained = train(&room.deps, &room.profile, &TrainRequest::of(ModelKind::Forecast)).await.unwrap();
    room.deps
        .views
        .promote_model(&room.profile.name, ModelKind::Forecast, &trained.model_id, room.deps.clock.now())
        .await
        .unwrap();
    let end = instant("2007-02-11T23:00:00Z");
    for minutes in [0, 7, 59] {
        issue(&room, Some(end + TimeDelta::minutes(minutes))).await.unwrap();
    }
    assert_eq!(vintages(&room).await, 1, "the same hour is the same vintage");
    let vintage = newest(&room).await;
    assert_eq!((vintage.issued_at, vintage.model_id), (end, trained.model_id));
    let targets: Vec<DateTime<Utc>> = vintage.points.iter().map(|point| point.target_time).collect();
    assert_eq!(targets, (1..=48).map(|hours| end + TimeDelta::hours(hours)).collect::<Vec<_>>());
    issue(&room, Some(end + TimeDelta::minutes(60))).await.unwrap();
    assert_eq!(vintages(&room).await, 2);
    assert_eq!(newest(&room).await.points[0].target_time, end + TimeDelta::hours(2));
}
