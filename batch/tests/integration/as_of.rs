//! Jobs on the lake of the past: what makes sense there is the same, and what would take something back is refused.

use kilowatch_batch::{
    BatchError,
    jobs::{
        forecast::{ForecastRequest, forecast},
        rollup::{RollupOutcome, RollupReport, RollupRequest, rollup},
        train::{TrainRequest, train},
    },
};
use kilowatch_shared::{
    lake::{AsOf, LakeError},
    model::ModelKind,
};

use crate::{
    bench_room::{Room, assert_same_windows, instant, minute, uci},
    history::{WEEK, file, ten_minute_room},
    live::LivePartition,
};

async fn rollup_as_of(room: &Room, version: i64) -> Result<RollupReport, BatchError> {
    let request = RollupRequest { full: false, as_of: Some(AsOf::Version(version)) };
    rollup(&room.deps, &room.profile, &request).await
}

#[tokio::test]
async fn a_model_of_an_older_lake_is_the_one_that_was_trained_then() {
    let room = ten_minute_room().await;
    room.ingest_bytes("history.txt", &file(0..WEEK)).await;
    let of = TrainRequest::of(ModelKind::Estimate);
    let then = train(&room.deps, &room.profile, &of).await.unwrap();
    room.ingest_bytes("later.txt", &file(WEEK..2 * WEEK)).await;
    let again = TrainRequest { as_of: Some(AsOf::Version(0)), ..of.clone() };
    let again = train(&room.deps, &room.profile, &again).await.unwrap();
    assert_eq!((&again.model_id, again.lake_version), (&then.model_id, 0));
    assert_ne!(train(&room.deps, &room.profile, &of).await.unwrap().model_id, then.model_id);
    let beyond = TrainRequest { as_of: Some(AsOf::Version(7)), ..of };
    let error = train(&room.deps, &room.profile, &beyond).await.unwrap_err();
    assert!(matches!(error, BatchError::Lake(LakeError::OutOfReach { newest: 1, .. })), "{error}");
}

#[tokio::test]
async fn a_forecast_of_an_older_lake_is_issued_then() {
    let room = ten_minute_room().await;
    room.ingest_bytes("history.txt", &file(0..10 * WEEK)).await;
    train(&room.deps, &room.profile, &TrainRequest::of(ModelKind::Forecast)).await.unwrap();
    room.ingest_bytes("later.txt", &file(10 * WEEK..11 * WEEK)).await;
    let request = ForecastRequest { issued_at: None, as_of: Some(AsOf::Version(0)) };
    let report = forecast(&room.deps, &room.profile, &request).await.unwrap();
    assert_eq!(report.lake_version, Some(0));
    assert_eq!(report.issued[0].known_until, instant("2007-03-11T23:00:00Z"));
    assert!(report.issued[0].issued_at <= room.deps.clock.now());
}

#[tokio::test]
async fn a_publication_of_an_older_version_never_takes_the_boundary_back() {
    let room = Room::new().await;
    for (name, at) in [("a.txt", 0), ("b.txt", 70), ("c.txt", 140)] {
        room.ingest_bytes(name, &uci(&[&minute(at, 1.0)])).await;
    }
    // Version 1 is there to be published although version 2 is, too.
    let report = rollup_as_of(&room, 1).await.unwrap();
    assert_eq!((report.outcome, report.boundary.lake_version), (RollupOutcome::Published, Some(1)));
    assert_eq!(room.published().await.len(), 14);
    assert_eq!(rollup_as_of(&room, 1).await.unwrap().outcome, RollupOutcome::UpToDate);
    room.rollup(false).await;
    let whole = room.published().await;
    let error = rollup_as_of(&room, 1).await.unwrap_err();
    assert!(matches!(error, BatchError::BehindBoundary { version: 1, seen: 2 }), "{error}");
    assert!(error.to_string().contains("kilowatch lake sql --as-of 1"), "{error}");
    assert_same_windows(&room.published().await, &whole);
    room.rollup(true).await;
    assert_same_windows(&room.published().await, &whole);
}

#[tokio::test]
async fn a_version_in_which_a_row_would_count_twice_is_not_published() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &uci(&[&minute(5, 2.0)])).await;
    let mut live = LivePartition::open(&room).await;
    live.read(instant("2006-12-31T23:05:00Z"), &[9.0, 0.1, 240.0, 4.0, 0.0, 0.0, 0.0]);
    live.close(&room).await;
    let unmarked = room.version().await;
    room.ingest_bytes("b.txt", &uci(&[&minute(6, 2.0)])).await;
    let error = rollup_as_of(&room, unmarked).await.unwrap_err();
    assert!(matches!(error, BatchError::Unsettled { version } if version == unmarked), "{error}");
    assert_eq!(room.published().await.len(), 0);
    assert_eq!(room.rollup(false).await.superseded_rows, 1);
}
