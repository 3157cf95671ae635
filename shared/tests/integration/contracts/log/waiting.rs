//! Reads at the end of the log, and reads that nobody waits for any more.

use std::time::Duration;

use kilowatch_shared::{
    log::{LogError, ReadLimit},
    position::Offset,
};
use tokio::time::timeout;

use super::subject::{LONG, Subject, message, numbered, offsets, plenty, texts};

pub async fn an_empty_read_stays_where_it_is(subject: &Subject) {
    let partition = subject.partition("energy").await;
    let fetched = subject.log.read(&partition, Offset::ZERO, plenty(), Duration::ZERO).await.unwrap();
    assert_eq!((fetched.records, fetched.next), (Vec::new(), Offset::ZERO));
    subject.log.append("energy", &numbered(3)).await.unwrap();
    let fetched = subject.log.read(&partition, Offset::new(3), plenty(), Duration::from_millis(50)).await.unwrap();
    assert_eq!((fetched.records, fetched.next), (Vec::new(), Offset::new(3)));
}

pub async fn a_waiting_read_is_woken_by_a_message(subject: &Subject) {
    let partition = subject.partition("energy").await;
    subject.log.append("energy", &numbered(3)).await.unwrap();
    let (log, at) = (subject.log.clone(), partition.clone());
    // It would wait for an hour; the test gives it less.
    let waiting = tokio::spawn(async move { log.read(&at, Offset::new(3), plenty(), Duration::from_secs(3600)).await });
    // Let it get to its wait first, where a lost wake-up would show.
    tokio::time::sleep(Duration::from_millis(30)).await;
    subject.log.append("energy", &[message("m", "news")]).await.unwrap();
    let fetched = timeout(LONG, waiting).await.expect("the read slept through a message").unwrap().unwrap();
    assert_eq!(texts(&fetched.records), ["news"]);
    assert_eq!(fetched.next, Offset::new(4));
}

pub async fn a_read_above_the_end_is_out_of_range(subject: &Subject) {
    let partition = subject.partition("energy").await;
    subject.log.append("energy", &numbered(3)).await.unwrap();
    let error = subject.log.read(&partition, Offset::new(4), plenty(), LONG).await.unwrap_err();
    let LogError::OutOfRange { partition: of, asked, watermarks } = error else { panic!("{error:?}") };
    assert_eq!((of, asked), (partition.clone(), Offset::new(4)));
    assert_eq!((watermarks.low, watermarks.high), (Offset::ZERO, Offset::new(3)));
    // The failure is the read's, not the partition's.
    assert_eq!(offsets(&subject.read_span(&partition, 0, 3).await), [0, 1, 2]);
}

pub async fn a_cancelled_read_loses_nothing(subject: &Subject) {
    let partition = subject.partition("energy").await;
    subject.log.append("energy", &numbered(200)).await.unwrap();
    let mut next = Offset::ZERO;
    let mut seen = Vec::new();
    let mut patience = Duration::from_micros(10);
    while next < Offset::new(200) {
        let read = subject.log.read(&partition, next, ReadLimit { records: 7, ..plenty() }, LONG);
        match timeout(patience, read).await {
            Ok(fetched) => {
                let fetched = fetched.unwrap();
                seen.extend(offsets(&fetched.records));
                next = fetched.next;
                patience = Duration::from_micros(10);
            }
            // More patience each time: sooner or later a read gets through, whatever the machine does.
            Err(_) => patience *= 2,
        }
    }
    assert_eq!(seen, (0..200).collect::<Vec<_>>());

    let waiting = subject.log.read(&partition, Offset::new(200), plenty(), LONG);
    assert!(timeout(Duration::from_millis(30), waiting).await.is_err(), "there was nothing to read");
    subject.log.append("energy", &[message("m", "news")]).await.unwrap();
    assert_eq!(texts(&subject.read_span(&partition, 200, 201).await), ["news"]);
}
