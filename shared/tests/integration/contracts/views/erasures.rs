//! A device is erased whole, only while nobody remembers it, and on record without its name.

use chrono::TimeDelta;
use kilowatch_shared::{
    anomaly::Severity,
    forecast::{ForecastPoint, ForecastVintage},
    model::ModelId,
    outbox::OutboxEntry,
    position::{Offset, PartitionId},
    views::{
        AnomalyFilter, Audit, DeadLetterFilter, DeviceErasure, DeviceRows, Effects, EraseOutcome, ErasedRows,
        Publication, PublishOutcome, PublishedShape, RecordedErasure, ReplacedWindows,
    },
};

use super::subject::{
    MEASURE, Member, Subject, anomaly, boundary, dead_letter, device, hour, household, partition, value,
};

/// An erasure of `m` so many seconds after the members were seen.
fn erasure(subject: &Subject, seconds: i64, partitions: &[(PartitionId, u64)]) -> DeviceErasure {
    DeviceErasure {
        stream: household(),
        device: device("m"),
        dead_letters: vec![dead_letter(2, "").position],
        partitions: partitions.iter().map(|(partition, at)| (partition.clone(), Offset::new(*at))).collect(),
        rows: ErasedRows { readings: 7, letters: 1 },
        audit: Audit {
            at: subject.now + TimeDelta::seconds(seconds),
            by: "ada@ops".to_owned(),
            reason: "they moved".to_owned(),
        },
    }
}

fn told(offset: u64, key: &'static str) -> OutboxEntry {
    OutboxEntry {
        position: partition(0).at(Offset::new(offset)),
        id: format!("message {offset}"),
        topic: "anomalies".to_owned(),
        key: Some(key.into()),
        payload: Some("{}".into()),
        headers: Vec::new(),
    }
}

fn vintage(name: &str) -> ForecastVintage {
    ForecastVintage {
        stream: household(),
        device: device(name),
        measure: MEASURE.to_owned(),
        issued_at: hour(10),
        model_id: ModelId::of(b"model"),
        lake_version: 3,
        interval_level: 0.9,
        points: vec![ForecastPoint { target_time: hour(11), horizon_hours: 1, value: 1.0, low: 0.5, high: 1.5 }],
    }
}

/// A member that has brought something of `m` and of `other` into every table, up to offset 4.
async fn both_are_known(subject: &Subject) -> Member {
    let mut member = subject.claim(&partition(0), 0).await;
    let effects = Effects {
        anomalies: vec![anomaly(0, hour(0), "m", Severity::Minor), anomaly(1, hour(0), "other", Severity::Minor)],
        rollups: vec![value("m", 0, 1.0), value("other", 0, 2.0)],
        dead_letters: vec![dead_letter(2, "no JSON"), dead_letter(3, "no JSON")],
        outbox: vec![told(0, "m"), told(1, "other"), told(2, "m of a letter"), told(3, "a letter")],
        devices: vec![(device("m"), hour(0)), (device("other"), hour(0))],
        ..Effects::default()
    };
    member.apply(4, effects).await;
    for name in ["m", "other"] {
        subject.views.add_forecast(&vintage(name)).await.unwrap();
    }
    member
}

const OF_M: DeviceRows = DeviceRows { anomalies: 1, speed_windows: 1, forecasts: 1, outbox: 1, kept_windows: 0 };

async fn rows(subject: &Subject, name: &str) -> DeviceRows {
    subject.views.device_rows(&household(), &device(name)).await.unwrap()
}

pub async fn an_erased_device_leaves_every_table_and_others_stay(subject: &Subject) {
    let member = both_are_known(subject).await;
    assert_eq!((rows(subject, "m").await, rows(subject, "other").await), (OF_M, OF_M));
    subject.views.release(&partition(0), member.owner).await.unwrap();
    let asked = erasure(subject, 0, &[(partition(0), 4)]);
    assert_eq!(subject.views.erase_device(&asked).await.unwrap(), EraseOutcome::Erased(OF_M));
    subject.views.overwrite_deleted().await.unwrap();
    assert_eq!((rows(subject, "m").await, rows(subject, "other").await), (DeviceRows::default(), OF_M));

    let alarms = subject.views.list_anomalies(&household(), &AnomalyFilter::default(), None, 10).await.unwrap();
    assert_eq!(alarms.anomalies.iter().map(|alarm| alarm.device.as_str()).collect::<Vec<_>>(), ["other"]);
    let devices = subject.views.list_devices(&household(), None, 10).await.unwrap();
    assert_eq!(devices, [(device("other"), hour(0))]);
    let letters = subject.views.list_dead_letters(&household(), &DeadLetterFilter::default(), None, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].letter.position, dead_letter(3, "").position);
    let waiting = subject.views.outbox_entries(&partition(0), 10, u64::MAX).await.unwrap();
    assert_eq!(waiting.iter().map(|entry| entry.position.offset.get()).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(subject.views.latest_forecast(&household(), Some(&device("m"))).await.unwrap(), None);
    assert!(subject.views.latest_forecast(&household(), Some(&device("other"))).await.unwrap().is_some());

    let again = subject.views.erase_device(&asked).await.unwrap();
    assert_eq!(again, EraseOutcome::Erased(DeviceRows::default()), "what is gone is no error");
}

pub async fn what_was_staged_of_a_device_before_it_was_to_go_goes_as_well(subject: &Subject) {
    let stage = subject.stage(&household(), &[value("m", 0, 1.0), value("other", 0, 2.0)]).await;
    // Staged when it was asked for, and so perhaps of readings that came since.
    subject.views.erase_device(&erasure(subject, 0, &[])).await.unwrap();
    let publish = async |stage, version| {
        let publication = Publication {
            stream: household(),
            expected: subject.views.boundary(&household()).await.unwrap(),
            next: boundary(version, &[]),
            stage,
            replaces: ReplacedWindows::All,
            shape: PublishedShape::default(),
        };
        assert_eq!(subject.views.publish(&publication).await.unwrap(), PublishOutcome::Published);
        let published = subject.views.published_rollups(&household(), None, 10).await.unwrap();
        published.into_iter().map(|row| row.key.device).collect::<Vec<_>>()
    };
    assert_eq!(publish(stage, 1).await, [device("m"), device("other")]);
    let stage = subject.stage(&household(), &[value("m", 0, 1.0), value("other", 0, 2.0)]).await;
    subject.views.erase_device(&erasure(subject, 1, &[])).await.unwrap();
    assert_eq!(publish(stage, 2).await, [device("other")]);
}

pub async fn an_erasure_is_on_record_without_the_devices_name(subject: &Subject) {
    for seconds in [1, 2] {
        subject.views.erase_device(&erasure(subject, seconds, &[])).await.unwrap();
    }
    let recorded = subject.views.erasures(&household(), 1).await.unwrap();
    let expected = RecordedErasure {
        stream: household(),
        device_sha256: device("m").sha256(),
        readings: 7,
        dead_letters: 1,
        anomalies: 0,
        forecasts: 0,
        audit: erasure(subject, 2, &[]).audit,
    };
    assert_eq!(recorded, [expected], "the newest one");
    assert_eq!(recorded[0].device_sha256.len(), 64);
    let both = subject.views.erased_on_record(&household(), &device("m")).await.unwrap();
    assert_eq!(both, ErasedRows { readings: 14, letters: 2 });
    let other = subject.views.erased_on_record(&household(), &device("other")).await.unwrap();
    assert_eq!(other, ErasedRows::default());
}

pub async fn nothing_is_erased_while_somebody_may_remember_the_device(subject: &Subject) {
    let member = both_are_known(subject).await;
    let outcome = subject.views.erase_device(&erasure(subject, 1, &[(partition(0), 4)])).await.unwrap();
    assert!(matches!(outcome, EraseOutcome::LiveOwner { .. }), "{outcome:?}");
    let gone_since = 3600;
    let outcome = subject.views.erase_device(&erasure(subject, gone_since, &[(partition(0), 3)])).await.unwrap();
    assert_eq!(outcome, EraseOutcome::Elsewhere { partition: partition(0) });
    assert_eq!(rows(subject, "m").await, OF_M, "nothing changed");

    let outcome = subject.views.erase_device(&erasure(subject, gone_since, &[(partition(0), 4)])).await.unwrap();
    assert_eq!(outcome, EraseOutcome::Erased(OF_M), "an owner that is gone stands in nobody's way");
    let state = subject.views.partition(&partition(0)).await.unwrap().unwrap();
    assert_ne!(state.owner, Some(member.owner), "and is fenced off if it is not gone");
}
