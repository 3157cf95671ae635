//! `train` of detectors: what they learn from, and which of them serve.

use kilowatch_batch::{
    BatchError,
    jobs::train::{Promotion, TrainReport, TrainRequest, train},
    training::TrainError,
};
use kilowatch_shared::{
    detect::{
        isolation_forest::{IsolationForestConfig, IsolationForestModel},
        kmeans::{KMeansConfig, KMeansModel},
        three_sigma::{Baseline, HourOfWeekModel},
    },
    lake::SegmentLake,
    model::ModelKind,
    position::DeviceId,
    stream::KernelConfig,
};

use crate::{
    bench_room::{Room, instant, uci},
    history::{WEEK, file, ten_minute_room},
    live::LivePartition,
};

async fn train_kind(room: &Room, kind: ModelKind) -> Result<TrainReport, BatchError> {
    train(&room.deps, &room.profile, &TrainRequest::of(kind)).await
}

/// A room whose second detector has this kernel.
async fn room_with(kernel: KernelConfig) -> Room {
    let mut room = ten_minute_room().await;
    room.profile.detectors[1].kernel = kernel;
    assert_eq!(room.profile.detectors[1].problems(&room.profile), Vec::<String>::new());
    room
}

fn forest(features: &[&str], train_window_days: Option<u32>) -> KernelConfig {
    KernelConfig::IsolationForest(IsolationForestConfig {
        features: features.iter().map(|&feature| feature.to_owned()).collect(),
        alarm_quantile: 0.99,
        train_window_days,
        rows_per_tree: 256,
    })
}

fn centres(features: &[&str]) -> KernelConfig {
    KernelConfig::KMeans(KMeansConfig {
        features: features.iter().map(|&feature| feature.to_owned()).collect(),
        clusters: 3,
        alarm_quantile: 0.95,
        trim_share: 0.0,
        fence: None,
        train_window_days: None,
    })
}

#[tokio::test]
async fn centres_are_placed_where_the_meter_dwells() {
    let room = room_with(centres(&["active_power", "current"])).await;
    room.ingest_bytes("history.txt", &file(0..4 * WEEK)).await;
    let report = train_kind(&room, ModelKind::KMeans).await.unwrap();
    assert_eq!((report.promotion.clone(), report.rows), (Promotion::Promoted, 4 * WEEK as u64));
    let rate = report.params["alarm_rate"].as_f64().unwrap();
    assert!((0.03..0.07).contains(&rate), "{rate}");
    let held_out = report.params["alarm_rate_held_out"].as_f64().unwrap();
    assert!(held_out < 0.2 && held_out != rate, "of other rows, by another model: {held_out}");
    let model = KMeansModel::from_bytes(&room.deps.lake.load_model(&report.model_id).await.unwrap()).unwrap();
    // Quiet hours draw 4 A, weekends 7, evenings 10 and those of weekends 13, each give or take one.
    let currents: Vec<f64> = model.centres().iter().map(|centre| centre[1]).collect();
    assert!(currents.is_sorted() && currents[0] < 5.5 && currents[2] > 9.0, "{currents:?}");
    assert_eq!(report.features, ["active_power", "current"]);
}

#[tokio::test]
async fn features_that_look_back_are_learned_in_the_order_of_time_whatever_the_files_were() {
    let features = ["active_power", "lag(active_power, 1)", "rolling_mean(active_power, 6)", "hour"];
    let (one, two) = (room_with(forest(&features, None)).await, room_with(forest(&features, None)).await);
    one.ingest_bytes("all.txt", &file(0..3 * WEEK)).await;
    two.ingest_bytes("late.txt", &file(2 * WEEK..3 * WEEK)).await;
    two.ingest_bytes("early.txt", &file(0..2 * WEEK)).await;
    let trained = train_kind(&one, ModelKind::IsolationForest).await.unwrap();
    assert_eq!(train_kind(&two, ModelKind::IsolationForest).await.unwrap().model_id, trained.model_id);
    let model = IsolationForestModel::from_bytes(&one.deps.lake.load_model(&trained.model_id).await.unwrap()).unwrap();
    assert_eq!(model.feature_names().collect::<Vec<_>>(), features);
    // An evening's load after an evening's load is usual; after a quiet hour, it is not.
    let (evening, quiet) = (Some(2.28), Some(0.91));
    let jump = model.score(&[evening, quiet, quiet, Some(3.0)]);
    assert!(jump > model.score(&[evening, evening, evening, Some(19.0)]), "{jump}");
}

#[tokio::test]
async fn a_window_slides_to_the_newest_reading_and_sees_nothing_before_it() {
    let room = room_with(forest(&["active_power"], Some(14))).await;
    room.ingest_bytes("history.txt", &file(0..3 * WEEK)).await;
    let report = train_kind(&room, ModelKind::IsolationForest).await.unwrap();
    assert_eq!(report.rows, 2 * WEEK as u64 + 1, "both ends of the fourteen days are in it");
    let manifest =
        room.deps.views.serving_model(&room.profile.name, ModelKind::IsolationForest).await.unwrap().unwrap();
    assert_eq!(manifest.id, report.model_id);
    // The household writes local time, an hour east of UTC.
    assert_eq!(manifest.train_from, instant("2007-01-07T22:50:00Z"));
}

#[tokio::test]
async fn a_meter_whose_clock_is_years_ahead_does_not_move_the_window() {
    let room = room_with(forest(&["active_power"], Some(14))).await;
    room.ingest_bytes("history.txt", &file(0..3 * WEEK)).await;
    let mut live = LivePartition::open(&room).await;
    let (logged_at, clock) = (instant("2007-01-22T00:00:00Z"), instant("2025-12-31T00:00:00Z"));
    live.read_of_clock(logged_at, clock, &[1.0, 0.1, 240.0, 4.0, 0.0, 0.0, 0.0]);
    live.close(&room).await;
    let report = train_kind(&room, ModelKind::IsolationForest).await.unwrap();
    assert_eq!(report.rows, 2 * WEEK as u64 + 2, "the fourteen days of the others, and the reading itself");
    assert_eq!(report.promotion, Promotion::Promoted);
}

#[tokio::test]
async fn a_retrained_detector_takes_over_and_both_service_periods_are_known() {
    let room = room_with(forest(&["active_power"], Some(14))).await;
    room.ingest_bytes("first.txt", &file(0..2 * WEEK)).await;
    let first = train_kind(&room, ModelKind::IsolationForest).await.unwrap();
    room.ingest_bytes("second.txt", &file(2 * WEEK..4 * WEEK)).await;
    let second = train_kind(&room, ModelKind::IsolationForest).await.unwrap();
    assert_ne!(first.model_id, second.model_id);
    assert_eq!((first.promotion, second.promotion), (Promotion::Promoted, Promotion::Promoted));
    let served = room.deps.views.served_model(&room.profile.name, ModelKind::IsolationForest).await.unwrap().unwrap();
    assert_eq!(served.manifest.id, second.model_id);
    assert_eq!(room.deps.views.models(&room.profile.name, 10).await.unwrap().len(), 2, "the first one can be had back");
}

#[tokio::test]
async fn a_model_that_would_cry_wolf_of_late_is_kept_and_does_not_serve() {
    let room = room_with(centres(&["active_power"])).await;
    // Four weeks at three steady levels, then one in which the load is anywhere.
    let lines: Vec<String> = (0..5 * WEEK)
        .map(|row| {
            let at = instant("2007-01-01T00:00:00Z") + chrono::TimeDelta::minutes(10 * row);
            let anywhere = (row * row % 997) as f64 / 100.0;
            let power = if row < 4 * WEEK { [1.0, 5.0, 9.0][row as usize % 3] } else { anywhere };
            format!("{};{power:.3};0.1;240.0;1.0;0;0;0", at.format("%-d/%-m/%Y;%H:%M:%S"))
        })
        .collect();
    room.ingest_bytes("wild.txt", &uci(&lines.iter().map(String::as_str).collect::<Vec<_>>())).await;
    let report = train_kind(&room, ModelKind::KMeans).await.unwrap();
    let Promotion::Refused { reason } = &report.promotion else { panic!("{report:?}") };
    assert!(reason.contains("of the newest fifth of the readings, more than 20.0 %"), "{reason}");
    assert_eq!(room.deps.views.serving_model(&room.profile.name, ModelKind::KMeans).await.unwrap(), None);
    assert_eq!(room.deps.views.models(&room.profile.name, 10).await.unwrap()[0].id, report.model_id);
}

#[tokio::test]
async fn hours_of_the_week_are_learned_by_device() {
    let mut room = ten_minute_room().await;
    let KernelConfig::ThreeSigma(config) = &mut room.profile.detectors[0].kernel else { panic!("no three-sigma") };
    config.baseline = Baseline::HourOfWeek { train_window_days: Some(28) };
    room.ingest_bytes("history.txt", &file(0..6 * WEEK)).await;
    let report = train_kind(&room, ModelKind::HourOfWeek).await.unwrap();
    assert_eq!((report.promotion.clone(), report.rows), (Promotion::Promoted, 4 * WEEK as u64 + 1));
    let model = HourOfWeekModel::from_bytes(&room.deps.lake.load_model(&report.model_id).await.unwrap()).unwrap();
    assert_eq!((model.devices(), model.measures().len()), (1, 3));
    for (device, named) in [("meter-0001", true), ("meter", false), ("active_power", false)] {
        let models = room.deps.lake.models_naming(&room.profile.name, &DeviceId::parse(device).unwrap()).await.unwrap();
        assert_eq!(models.contains(&report.model_id), named, "{device}");
    }
    assert!(report.params["alarm_rate"].as_f64().unwrap() < 0.02, "{report:?}");
}

#[tokio::test]
async fn a_baseline_that_could_not_be_checked_does_not_serve() {
    let mut room = ten_minute_room().await;
    let KernelConfig::ThreeSigma(config) = &mut room.profile.detectors[0].kernel else { panic!("no three-sigma") };
    config.baseline = Baseline::HourOfWeek { train_window_days: None };
    for (weeks, serves) in [(0..3, false), (3..4, true)] {
        room.ingest_bytes(&format!("{weeks:?}.txt"), &file(weeks.start * WEEK..weeks.end * WEEK)).await;
        let report = train_kind(&room, ModelKind::HourOfWeek).await.unwrap();
        match report.promotion {
            Promotion::Promoted => assert!(serves),
            Promotion::Refused { reason } => {
                assert!(!serves && reason.contains("were not seen in 3 weeks before it"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_no_detector_of_the_profile_learns_is_not_trained() {
    let room = ten_minute_room().await;
    for kind in [ModelKind::KMeans, ModelKind::HourOfWeek] {
        let refused = train_kind(&room, kind).await.unwrap_err();
        assert!(matches!(refused, BatchError::Train(TrainError::NotDeclared { .. })), "{refused:?}");
    }
}
