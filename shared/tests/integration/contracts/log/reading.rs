//! What a read brings, and where it ends.

use bytes::Bytes;
use chrono::TimeDelta;
use kilowatch_shared::{
    clock::Clock,
    log::{NewRecord, ReadLimit},
    position::Offset,
};

use super::subject::{Subject, message, numbered, offsets, plenty, texts};

pub async fn every_part_of_a_message_comes_back(subject: &Subject) {
    let partition = subject.partition("energy").await;
    let key = Some(Bytes::from_static(b"meter-0001"));
    let headers = vec![
        ("trace".to_owned(), Bytes::from_static(&[0, 255, 7])),
        ("empty".to_owned(), Bytes::new()),
        ("trace".to_owned(), Bytes::from_static(b"again")),
    ];
    let sent = [
        NewRecord { key: key.clone(), payload: Some(Bytes::from_static(b"{\"active_power\":2.58}")), headers },
        NewRecord { key: key.clone(), payload: None, headers: Vec::new() },
        NewRecord { key: key.clone(), payload: Some(Bytes::new()), headers: Vec::new() },
        NewRecord { key: Some(Bytes::new()), payload: Some(Bytes::from_static(&[0, 159, 146, 150])), headers: vec![] },
        NewRecord { key: None, payload: Some(Bytes::from_static(b"keyless")), headers: Vec::new() },
    ];
    let mut stamps = Vec::new();
    for record in &sent {
        stamps.push(subject.clock.now());
        subject.log.append("energy", std::slice::from_ref(record)).await.unwrap();
        subject.clock.forward(TimeDelta::milliseconds(1500));
    }
    let got = subject.read_span(&partition, 0, 5).await;
    assert_eq!(got.len(), sent.len());
    for ((got, sent), stamp) in got.iter().zip(&sent).zip(stamps) {
        assert_eq!(got.key, sent.key);
        assert_eq!(got.payload, sent.payload);
        assert_eq!(got.headers, sent.headers);
        assert_eq!(got.timestamp, stamp);
    }
}

pub async fn a_read_ends_at_its_number_of_messages(subject: &Subject) {
    let partition = subject.partition("energy").await;
    subject.log.append("energy", &numbered(25)).await.unwrap();
    let mut next = Offset::ZERO;
    let mut seen = Vec::new();
    while next < Offset::new(25) {
        let fetched = subject.read(&partition, next.get(), ReadLimit { records: 10, ..plenty() }).await;
        assert!(fetched.records.len() <= 10);
        assert_eq!(fetched.records.last().unwrap().offset.plus(1), fetched.next);
        seen.extend(offsets(&fetched.records));
        next = fetched.next;
    }
    assert_eq!(seen, (0..25).collect::<Vec<_>>());
}

pub async fn a_read_ends_at_its_number_of_bytes(subject: &Subject) {
    let partition = subject.partition("energy").await;
    let records: Vec<_> = (0..10).map(|_| message("0123456789", &"x".repeat(90))).collect();
    subject.log.append("energy", &records).await.unwrap();
    let mut next = Offset::ZERO;
    let mut seen = Vec::new();
    while next < Offset::new(10) {
        let fetched = subject.read(&partition, next.get(), ReadLimit { bytes: 350, ..plenty() }).await;
        assert!(fetched.records.len() <= 3, "{} messages of 100 bytes in 350", fetched.records.len());
        seen.extend(offsets(&fetched.records));
        next = fetched.next;
    }
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
}

pub async fn a_message_larger_than_the_bound_still_comes(subject: &Subject) {
    let partition = subject.partition("energy").await;
    let large = "x".repeat(300_000);
    subject.log.append("energy", &[message("m", &large), message("m", "small")]).await.unwrap();
    let fetched = subject.read(&partition, 0, ReadLimit { bytes: 1, ..plenty() }).await;
    assert_eq!(texts(&fetched.records), [large]);
    let fetched = subject.read(&partition, 1, ReadLimit { bytes: 0, records: 0, before: None }).await;
    assert_eq!(texts(&fetched.records), ["small"]);
}

pub async fn a_read_stops_below_its_upper_end(subject: &Subject) {
    let partition = subject.partition("energy").await;
    subject.log.append("energy", &numbered(20)).await.unwrap();
    let records = subject.read_span(&partition, 4, 9).await;
    assert_eq!(offsets(&records), [4, 5, 6, 7, 8]);
    let limit = ReadLimit { before: Some(Offset::new(9)), ..plenty() };
    let nothing = subject.read(&partition, 9, limit).await;
    assert!(nothing.records.is_empty());
    assert_eq!(nothing.next, Offset::new(9));
}

pub async fn any_position_can_be_read_at_any_time(subject: &Subject) {
    let partition = subject.partition("energy").await;
    for batch in numbered(300).chunks(40) {
        subject.log.append("energy", batch).await.unwrap();
    }
    for from in [299, 0, 150, 39, 40, 41, 298, 1, 1] {
        let fetched = subject.read(&partition, from, ReadLimit { records: 1, ..plenty() }).await;
        assert_eq!(offsets(&fetched.records), [from]);
        assert_eq!(texts(&fetched.records), [from.to_string()]);
    }
}

pub async fn two_readers_do_not_take_from_each_other(subject: &Subject) {
    let partition = subject.partition("energy").await;
    subject.log.append("energy", &numbered(200)).await.unwrap();
    let (whole, half) = tokio::join!(subject.read_span(&partition, 0, 200), subject.read_span(&partition, 100, 200));
    assert_eq!(offsets(&whole), (0..200).collect::<Vec<_>>());
    assert_eq!(offsets(&half), (100..200).collect::<Vec<_>>());
}

pub async fn many_messages_come_in_order_and_once(subject: &Subject) {
    let partition = subject.partition("energy").await;
    for batch in numbered(20_000).chunks(5_000) {
        subject.log.append("energy", batch).await.unwrap();
    }
    let records = subject.read_span(&partition, 0, 20_000).await;
    assert_eq!(offsets(&records), (0..20_000).collect::<Vec<_>>());
    assert_eq!(texts(&records[..5_000]), (0..5_000).map(|number| number.to_string()).collect::<Vec<_>>());
}
