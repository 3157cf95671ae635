//! What only a log on brokers can show: they go away and come back, and positions are of one generation.

use std::{sync::Arc, time::Duration};

use kilowatch_shared::{
    clock::SystemClock,
    log::{
        Change, Log, LogError, Membership,
        kafka::{KafkaConfig, KafkaLog},
    },
    position::Offset,
};
use rdkafka::mocking::{MockCluster, MockCoordinator};
use tokio::time::timeout;

use super::{
    members::gather,
    subject::{LONG, message, numbered, offsets, plenty},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_fails_while_the_brokers_are_away_and_goes_on_where_it_was() {
    let cluster = MockCluster::new(1).unwrap();
    let log = connect(KafkaConfig::new(cluster.bootstrap_servers()));
    cluster.create_topic("energy", 1, 1).unwrap();
    log.append("energy", &numbered(10)).await.unwrap();
    let partition = log.partitions("energy").await.unwrap().remove(0);
    let fetched = log.read(&partition, Offset::ZERO, plenty(), LONG).await.unwrap();
    let mut next = fetched.next;

    cluster.broker_down(-1).unwrap();
    let mut away = false;
    for _ in 0..100 {
        match log.read(&partition, next, plenty(), Duration::from_millis(200)).await {
            Ok(fetched) => next = fetched.next,
            Err(LogError::Unavailable { .. }) => {
                away = true;
                break;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(away, "nobody noticed that the brokers are away");

    cluster.broker_up(-1).unwrap();
    log.append("energy", &numbered(5)).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..100 {
        match log.read(&partition, next, plenty(), LONG).await {
            Ok(fetched) => {
                seen.extend(offsets(&fetched.records));
                next = fetched.next;
            }
            Err(LogError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(other) => panic!("{other:?}"),
        }
        if next >= Offset::new(15) {
            break;
        }
    }
    assert_eq!(seen.last(), Some(&14));
    assert!(seen.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_of_another_generation_is_unknown() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("energy", 1, 1).unwrap();
    let first = connect(KafkaConfig::new(cluster.bootstrap_servers()));
    let second = connect(KafkaConfig { generation: 2, ..KafkaConfig::new(cluster.bootstrap_servers()) });
    let of_first = first.partitions("energy").await.unwrap().remove(0);
    let of_second = second.partitions("energy").await.unwrap().remove(0);
    assert_eq!(of_first.source.as_str(), "kafka:energy#1");
    assert_eq!(of_second.source.as_str(), "kafka:energy#2");
    let error = second.watermarks(&of_first).await.unwrap_err();
    assert!(matches!(error, LogError::UnknownPartition { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_property_that_librdkafka_refuses_is_named_without_its_value() {
    let mut config = KafkaConfig::new("127.0.0.1:1");
    config.properties.insert("sasl.passwort".to_owned(), "s3cret".to_owned());
    let error = KafkaLog::new(config, Arc::new(SystemClock)).unwrap_err().to_string();
    assert!(error.contains("sasl.passwort") && !error.contains("s3cret"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_that_retention_took_is_out_of_range() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("energy", 1, 1).unwrap();
    let log = connect(KafkaConfig::new(cluster.bootstrap_servers()));
    let partition = log.partitions("energy").await.unwrap().remove(0);
    // The mock cluster keeps five megabytes of a partition.
    let large = message("m", &"x".repeat(500_000));
    for _ in 0..20 {
        log.append("energy", std::slice::from_ref(&large)).await.unwrap();
    }
    let ends = log.watermarks(&partition).await.unwrap();
    assert!(ends.low > Offset::ZERO && ends.high == Offset::new(20), "{ends:?}");
    let error = log.read(&partition, Offset::ZERO, plenty(), LONG).await.unwrap_err();
    assert!(matches!(error, LogError::OutOfRange { watermarks, .. } if watermarks == ends), "{error:?}");
    let fetched = log.read(&partition, ends.low, plenty(), LONG).await.unwrap();
    assert_eq!(fetched.records[0].offset, ends.low);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_reader_does_not_call_a_full_log_empty() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("energy", 1, 1).unwrap();
    let log = connect(KafkaConfig::new(cluster.bootstrap_servers()));
    log.append("energy", &numbered(10)).await.unwrap();
    let partition = log.partitions("energy").await.unwrap().remove(0);
    let fetched = log.read(&partition, Offset::new(4), plenty(), Duration::ZERO).await.unwrap();
    assert_eq!(fetched.records[0].offset, Offset::new(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_coordinator_is_away_is_told_why_and_hears_when_it_is_back() {
    let cluster = MockCluster::new(2).unwrap();
    cluster.create_topic("energy", 1, 1).unwrap();
    cluster.partition_leader("energy", 0, Some(1)).unwrap();
    cluster.coordinator(MockCoordinator::Group("kilowatch.readers".to_owned()), 2).unwrap();
    cluster.broker_down(2).unwrap();
    let mut config = KafkaConfig::new(cluster.bootstrap_servers());
    for (key, value) in [("session.timeout.ms", "6000"), ("reconnect.backoff.max.ms", "500")] {
        config.properties.insert(key.to_owned(), value.to_owned());
    }
    let log = connect(config);
    let mut member = log.join("readers", "energy").await.unwrap();
    waits(&mut member).await;
    cluster.broker_up(2).unwrap();
    assert_eq!(gather(&mut member, 1).await.len(), 1);

    // The same for one that has been at work.
    cluster.broker_down(2).unwrap();
    waits(&mut member).await;
    cluster.broker_up(2).unwrap();
    let answer = timeout(LONG, member.next()).await.expect("nobody says that the group answers again").unwrap();
    assert!(matches!(answer, Change::Assigned(_)), "{answer:?}");
}

/// Until the group is said not to answer, with the reason.
async fn waits(member: &mut Box<dyn Membership>) {
    let told = async {
        loop {
            match member.next().await.unwrap() {
                Change::Waiting { reason } if reason.contains("refused") || reason.contains("Disconnected") => return,
                // The reason may follow later, and a session may end meanwhile.
                Change::Waiting { .. } | Change::Lost(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    timeout(LONG, told).await.expect("nobody says that the coordinator is away");
}

fn connect(config: KafkaConfig) -> KafkaLog {
    KafkaLog::new(config, Arc::new(SystemClock)).unwrap()
}
