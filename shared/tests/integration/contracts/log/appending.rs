//! Topics, partitions and what an append leaves behind.

use std::collections::BTreeSet;

use kilowatch_shared::{checkpoint::SourcePartition, log::LogError, position::Offset};

use super::subject::{Subject, message, numbered, offsets, texts};

pub async fn a_topic_made_twice_keeps_its_partitions(subject: &Subject) {
    let first = subject.topic("energy", 3).await;
    let source = subject.log.source("energy").await.unwrap();
    subject.log.create_topic("energy", 5).await.unwrap();
    assert_eq!(subject.log.partitions("energy").await.unwrap(), first);
    assert_eq!(subject.log.source("energy").await.unwrap(), source);
    assert_eq!(first.iter().map(|partition| partition.partition).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(first.iter().all(|partition| partition.source == source));
}

pub async fn a_topic_that_nobody_made_is_unknown(subject: &Subject) {
    let is_unknown = |error: LogError| matches!(error, LogError::UnknownTopic { topic } if topic == "nobody");
    assert!(is_unknown(subject.log.source("nobody").await.unwrap_err()));
    assert!(is_unknown(subject.log.partitions("nobody").await.unwrap_err()));
    assert!(is_unknown(subject.log.append("nobody", &numbered(1)).await.unwrap_err()));
    // Asking does not make it.
    assert!(is_unknown(subject.log.partitions("nobody").await.unwrap_err()));
}

pub async fn a_partition_that_is_not_there_is_unknown(subject: &Subject) {
    let there = subject.partition("energy").await;
    let absent = SourcePartition { partition: 7, ..there };
    let error = subject.log.watermarks(&absent).await.unwrap_err();
    assert!(matches!(error, LogError::UnknownPartition { partition } if partition == absent));
}

pub async fn offsets_follow_each_other_in_append_order(subject: &Subject) {
    let partition = subject.partition("energy").await;
    let mut appended = Vec::new();
    for batch in numbered(30).chunks(7) {
        appended.extend(subject.log.append("energy", batch).await.unwrap());
    }
    assert_eq!(appended.iter().map(|position| position.offset.get()).collect::<Vec<_>>(), (0..30).collect::<Vec<_>>());
    assert!(appended.iter().all(|position| position.source == partition.source && position.partition == 0));
    let records = subject.read_span(&partition, 0, 30).await;
    assert_eq!(offsets(&records), (0..30).collect::<Vec<_>>());
    assert_eq!(texts(&records), (0..30).map(|number| number.to_string()).collect::<Vec<_>>());
}

pub async fn one_key_stays_in_the_partition_that_kafka_would_choose(subject: &Subject) {
    subject.topic("energy", 3).await;
    for round in 0..3 {
        let records: Vec<_> = (0..20).map(|key| message(&format!("meter-{key}"), &round.to_string())).collect();
        let positions = subject.log.append("energy", &records).await.unwrap();
        let used: BTreeSet<u32> = positions.iter().map(|position| position.partition).collect();
        assert_eq!(used, BTreeSet::from([0, 1, 2]));
        let again = subject.log.append("energy", &records).await.unwrap();
        for (before, after) in positions.iter().zip(&again) {
            assert_eq!(before.partition, after.partition);
            assert!(before.offset < after.offset);
        }
    }
    // murmur2 of these keys is in Kafka's own tests; the partition follows from it.
    for (key, partition) in [("foobar", 0), ("a-little-bit-long-string", 2)] {
        let position = subject.log.append("energy", &[message(key, "")]).await.unwrap().remove(0);
        assert_eq!(position.partition, partition, "{key}");
    }
}

pub async fn nothing_appended_is_nothing_there(subject: &Subject) {
    let partition = subject.partition("energy").await;
    assert!(subject.log.append("energy", &[]).await.unwrap().is_empty());
    assert_eq!(subject.log.watermarks(&partition).await.unwrap().high, Offset::ZERO);
}

pub async fn concurrent_appends_go_in_whole_and_none_is_lost(subject: &Subject) {
    let (writers, batches, size) = (8, 15, 5);
    let partition = subject.partition("energy").await;
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let log = subject.log.clone();
            tokio::spawn(async move {
                let mut written = Vec::new();
                for batch in 0..batches {
                    let records: Vec<_> =
                        (0..size).map(|index| message("m", &format!("{writer}-{batch}-{index}"))).collect();
                    let positions = log.append("energy", &records).await.unwrap();
                    for pair in positions.windows(2) {
                        assert_eq!(pair[0].offset.plus(1), pair[1].offset, "another batch got in between");
                    }
                    let text = records.iter().map(|r| String::from_utf8(r.payload.clone().unwrap().to_vec()).unwrap());
                    written.extend(positions.into_iter().map(|position| position.offset.get()).zip(text));
                }
                written
            })
        })
        .collect();
    let mut written = Vec::new();
    for task in tasks {
        written.extend(task.await.unwrap());
    }
    written.sort();
    let all = writers * batches * size;
    let records = subject.read_span(&partition, 0, all).await;
    let read: Vec<_> = offsets(&records).into_iter().zip(texts(&records)).collect();
    assert_eq!(read, written);
    assert_eq!(written.len() as u64, all);
}

pub async fn two_topics_have_two_sources(subject: &Subject) {
    let one = subject.partition("one").await;
    let two = subject.partition("two").await;
    assert_ne!(one.source, two.source);
    subject.log.append("one", &numbered(3)).await.unwrap();
    subject.log.append("two", &numbered(1)).await.unwrap();
    assert_eq!(subject.log.watermarks(&one).await.unwrap().high, Offset::new(3));
    assert_eq!(subject.log.watermarks(&two).await.unwrap().high, Offset::new(1));
    assert!(one.source.is_log() && two.source.is_log());
}
