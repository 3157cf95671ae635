//! What is too old goes, does not come back, and takes nothing younger along.

use chrono::TimeDelta;
use kilowatch_shared::{
    anomaly::Severity,
    forecast::{ForecastPoint, ForecastVintage},
    model::ModelId,
    outbox::OutboxEntry,
    position::Offset,
    views::{
        Aged, AgedRows, AnomalyFilter, Audit, DeadLetterFilter, DeviceErasure, Effects, EraseOutcome, ErasedRows,
        MoveOutcome, PositionVerb, Publication, PublishOutcome, PublishedShape, ReplacedWindows,
    },
};

use super::subject::{
    HOUR, MEASURE, Subject, anomaly, boundary, dead_letter, device, hour, household, noon, partition, rollups, value,
};

async fn raise(subject: &Subject, aged: Aged, number: i64) {
    subject.views.raise_age_floor(&household(), aged, hour(number)).await.unwrap();
}

async fn drop_before(subject: &Subject, aged: Aged, number: i64, most: u32) -> u64 {
    subject.views.drop_before(&household(), aged, hour(number), most).await.unwrap()
}

async fn rows_before(subject: &Subject, aged: Aged, number: i64) -> AgedRows {
    subject.views.rows_before(&household(), aged, hour(number)).await.unwrap()
}

/// What is served, as the hours' numbers and sums.
async fn served(subject: &Subject) -> Vec<(i64, f64)> {
    let windows = subject.usage(&household()).await.windows;
    windows.iter().map(|window| ((window.start - hour(0)).num_hours(), window.partial.sum)).collect()
}

pub async fn a_floor_never_falls_and_is_its_streams_own(subject: &Subject) {
    assert_eq!(subject.views.age_floors(&household()).await.unwrap().of(Aged::Windows), None);
    for number in [3, 5, 4] {
        raise(subject, Aged::Windows, number).await;
    }
    let floors = subject.views.age_floors(&household()).await.unwrap();
    assert_eq!((floors.of(Aged::Windows), floors.of(Aged::Readings)), (Some(hour(5)), None));
    let other = kilowatch_shared::position::StreamName::parse("grid").unwrap();
    assert_eq!(subject.views.age_floors(&other).await.unwrap().of(Aged::Windows), None);
}

pub async fn what_was_published_below_the_floor_of_readings_is_all_that_is_served_of_it(subject: &Subject) {
    let old = [value("gone", 0, 1.0), value("m", 1, 1.0), value("m", 2, 1.0)];
    subject.publish_all(&household(), 1, &[], &old).await;
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(1, rollups(vec![value("m", 2, 1.0)])).await;
    raise(subject, Aged::Readings, 2).await;
    member.apply(3, rollups(vec![value("m", 1, 7.0), value("m", 2, 7.0)])).await;
    assert_eq!(served(subject).await, [(0, 1.0), (1, 1.0), (2, 9.0)], "a late reading counts from the floor on");

    // What is left of the readings below the floor says something else.
    subject.publish_all(&household(), 2, &[], &[value("m", 0, 9.0), value("m", 2, 5.0)]).await;
    assert_eq!(served(subject).await, [(0, 1.0), (1, 1.0), (2, 13.0)]);
    let devices = subject.views.list_devices(&household(), None, 10).await.unwrap();
    assert_eq!(devices, [(device("gone"), hour(0)), (device("m"), hour(2))], "and a device with windows stays known");

    let touched = [1, 2].map(|number| (device("m"), HOUR, hour(number)));
    let publication = Publication {
        stream: household(),
        expected: subject.views.boundary(&household()).await.unwrap(),
        next: boundary(3, &[]),
        stage: subject.stage(&household(), &[value("m", 1, 9.0)]).await,
        replaces: ReplacedWindows::Touched(touched.to_vec()),
        shape: PublishedShape::default(),
    };
    assert_eq!(subject.views.publish(&publication).await.unwrap(), PublishOutcome::Published);
    assert_eq!(served(subject).await, [(0, 1.0), (1, 1.0), (2, 8.0)], "an incremental publication keeps them, too");
}

pub async fn windows_below_their_floor_are_gone_at_once_and_stay_away(subject: &Subject) {
    let all: Vec<_> = (0..4).map(|number| value("m", number, 1.0)).collect();
    subject.publish_all(&household(), 1, &[], &all).await;
    let found = rows_before(subject, Aged::Windows, 2).await;
    assert_eq!(found, AgedRows { rows: 2, oldest: Some(hour(0)) });
    raise(subject, Aged::Windows, 2).await;
    assert_eq!(served(subject).await, [(2, 1.0), (3, 1.0)], "before the first row went");
    assert_eq!(drop_before(subject, Aged::Windows, 2, 1).await, 1);
    assert_eq!(drop_before(subject, Aged::Windows, 2, 9).await, 1);
    assert_eq!(drop_before(subject, Aged::Windows, 2, 9).await, 0);
    subject.publish_all(&household(), 2, &[], &all).await;
    assert_eq!(rows_before(subject, Aged::Windows, 2).await, AgedRows::default(), "a publication brings none back");
    assert_eq!(served(subject).await, [(2, 1.0), (3, 1.0)]);
}

fn told(offset: u64) -> OutboxEntry {
    OutboxEntry {
        position: partition(0).at(Offset::new(offset)),
        id: format!("message {offset}"),
        topic: "anomalies".to_owned(),
        key: None,
        payload: Some("{}".into()),
        headers: Vec::new(),
    }
}

pub async fn alarms_and_dead_letters_go_by_their_time_once_the_outside_has_heard_of_them(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    // Dead letters are seen at the hour of their offset.
    let effects = Effects {
        anomalies: [0, 1, 4].map(|at| anomaly(at, hour(at.cast_signed()), "m", Severity::Minor)).to_vec(),
        dead_letters: [2, 3, 5].map(|at| dead_letter(at, "no JSON")).to_vec(),
        outbox: [1, 3].map(told).to_vec(),
        ..Effects::default()
    };
    member.apply(6, effects).await;
    assert_eq!(rows_before(subject, Aged::Anomalies, 4).await, AgedRows { rows: 1, oldest: Some(hour(0)) });
    assert_eq!(rows_before(subject, Aged::DeadLetters, 5).await, AgedRows { rows: 1, oldest: Some(hour(2)) });
    assert_eq!(drop_before(subject, Aged::Anomalies, 4, 100).await, 1);
    assert_eq!(drop_before(subject, Aged::DeadLetters, 5, 100).await, 1);
    let alarms = async || {
        let page = subject.views.list_anomalies(&household(), &AnomalyFilter::default(), None, 10).await.unwrap();
        page.anomalies.iter().map(|alarm| alarm.position.offset.get()).collect::<Vec<_>>()
    };
    let letters = async || {
        let page = subject.views.list_dead_letters(&household(), &DeadLetterFilter::default(), None, 10).await.unwrap();
        page.iter().map(|listed| listed.letter.position.offset.get()).collect::<Vec<_>>()
    };
    assert_eq!((alarms().await, letters().await), (vec![4, 1], vec![5, 3]));

    subject.views.acknowledge_outbox(&partition(0), &[told(1), told(3)]).await.unwrap();
    assert_eq!(drop_before(subject, Aged::Anomalies, 4, 100).await, 1);
    assert_eq!(drop_before(subject, Aged::DeadLetters, 5, 100).await, 1);
    assert_eq!((alarms().await, letters().await), (vec![4], vec![5]));
}

pub async fn forecasts_go_by_their_issue_with_all_their_points(subject: &Subject) {
    let vintage = |number: i64| ForecastVintage {
        stream: household(),
        device: device("m"),
        measure: MEASURE.to_owned(),
        issued_at: hour(number),
        model_id: ModelId::of(b"model"),
        lake_version: 3,
        interval_level: 0.9,
        points: vec![ForecastPoint { target_time: hour(11), horizon_hours: 1, value: 1.0, low: 0.5, high: 1.5 }],
    };
    for number in 0..3 {
        subject.views.add_forecast(&vintage(number)).await.unwrap();
    }
    assert_eq!(rows_before(subject, Aged::Forecasts, 2).await, AgedRows { rows: 2, oldest: Some(hour(0)) });
    // A transaction that takes few rows takes one forecast with its points.
    assert_eq!(drop_before(subject, Aged::Forecasts, 2, 1).await, 1);
    assert_eq!(drop_before(subject, Aged::Forecasts, 2, 100).await, 1);
    assert_eq!(drop_before(subject, Aged::Forecasts, 2, 100).await, 0);
    assert_eq!(subject.views.latest_forecast(&household(), None).await.unwrap(), Some(vintage(2)));
    assert_eq!(subject.views.counts(&household(), MEASURE, HOUR).await.unwrap().forecasts, 1);
}

pub async fn a_lake_that_went_back_does_not_take_windows_along_whose_readings_are_gone(subject: &Subject) {
    let all: Vec<_> = (0..4).map(|number| value("m", number, 1.0)).collect();
    subject.publish_all(&household(), 1, &[], &all).await;
    raise(subject, Aged::Readings, 2).await;
    let audit = Audit { at: noon(), by: "ada@ops".to_owned(), reason: String::new() };
    let moved = subject.views.move_positions(PositionVerb::Rewind, &[], Some(&household()), &audit).await.unwrap();
    assert_eq!(moved, MoveOutcome::Moved);
    assert_eq!(served(subject).await, [(0, 1.0), (1, 1.0)]);
}

pub async fn an_erased_device_loses_the_windows_that_no_roll_up_computes(subject: &Subject) {
    subject.publish_all(&household(), 1, &[], &[value("m", 0, 1.0), value("other", 0, 2.0), value("m", 3, 4.0)]).await;
    raise(subject, Aged::Readings, 2).await;
    assert_eq!(subject.views.device_rows(&household(), &device("m")).await.unwrap().kept_windows, 1);
    let erasure = DeviceErasure {
        stream: household(),
        device: device("m"),
        dead_letters: Vec::new(),
        partitions: Vec::new(),
        rows: ErasedRows { readings: 1, letters: 0 },
        audit: Audit { at: noon() + TimeDelta::hours(1), by: "ada@ops".to_owned(), reason: String::new() },
    };
    let outcome = subject.views.erase_device(&erasure).await.unwrap();
    let EraseOutcome::Erased(rows) = outcome else { panic!("{outcome:?}") };
    assert_eq!(rows.kept_windows, 1);
    assert_eq!(served(subject).await, [(0, 2.0), (3, 4.0)], "a roll-up takes the younger ones");
}
