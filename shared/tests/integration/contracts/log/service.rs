//! The same suite on a real Kafka, which many tests share: each gets topics under a name of its own.
//!
//! `TEST_KAFKA_BROKERS=127.0.0.1:9092 cargo test -p kilowatch-shared --features service-tests`

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kilowatch_shared::{
    checkpoint::SourcePartition,
    clock::{SharedClock, SystemClock},
    log::{
        Fetched, Log, LogError, Membership, NewRecord, ReadLimit, SharedLog, Watermarks,
        kafka::{KafkaConfig, KafkaLog},
    },
    position::{Offset, SourceId, SourcePosition},
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions},
    producer::{BaseProducer, BaseRecord, Producer},
};
use uuid::Uuid;

use super::{
    members::gather,
    subject::{LONG, plenty, texts},
};

/// A log on the brokers that the variable names.
pub fn kafka(clock: SharedClock) -> SharedLog {
    let brokers = std::env::var("TEST_KAFKA_BROKERS").expect("TEST_KAFKA_BROKERS names the brokers, host:port");
    let log = KafkaLog::new(KafkaConfig::new(brokers), clock).unwrap();
    Arc::new(Renamed { log, suffix: format!(".{}", Uuid::new_v4().simple()) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_passes_what_transactions_leave_behind() {
    let brokers = std::env::var("TEST_KAFKA_BROKERS").expect("TEST_KAFKA_BROKERS names the brokers, host:port");
    let log = KafkaLog::new(KafkaConfig::new(&brokers), Arc::new(SystemClock)).unwrap();
    let topic = format!("transactions.{}", Uuid::new_v4().simple());
    log.create_topic(&topic, 1).await.unwrap();
    let partition = log.partitions(&topic).await.unwrap().remove(0);
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("transactional.id", &topic).create().unwrap();
    producer.init_transactions(LONG).unwrap();
    let transaction = |text: &str| {
        producer.begin_transaction().unwrap();
        producer.send(BaseRecord::to(&topic).key("m").payload(text)).map_err(|(error, _)| error).unwrap();
        producer.flush(LONG).unwrap();
    };
    transaction("kept");
    producer.commit_transaction(LONG).unwrap();
    transaction("aborted");
    producer.abort_transaction(LONG).unwrap();

    // The message, the mark of its commit, the aborted message and its mark.
    let high = Offset::new(4);
    let mut next = Offset::ZERO;
    let mut seen = Vec::new();
    while next < high {
        let fetched = log.read(&partition, next, plenty(), Duration::from_millis(300)).await.unwrap();
        seen.extend(texts(&fetched.records));
        next = fetched.next;
    }
    assert_eq!((seen, next), (vec!["kept".to_owned()], log.watermarks(&partition).await.unwrap().high));

    transaction("open");
    // What is not committed yet is neither delivered nor passed over.
    let fetched = log.read(&partition, next, plenty(), Duration::from_millis(300)).await.unwrap();
    assert_eq!((fetched.records.len(), fetched.next), (0, high));
    producer.commit_transaction(LONG).unwrap();
    let fetched = log.read(&partition, next, plenty(), LONG).await.unwrap();
    assert_eq!(texts(&fetched.records), ["open"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_is_added_to_a_topic_finds_a_reader() {
    let brokers = std::env::var("TEST_KAFKA_BROKERS").expect("TEST_KAFKA_BROKERS names the brokers, host:port");
    let mut config = KafkaConfig::new(&brokers);
    config.properties.insert("topic.metadata.refresh.interval.ms".to_owned(), "500".to_owned());
    let log = KafkaLog::new(config, Arc::new(SystemClock)).unwrap();
    let topic = format!("growing.{}", Uuid::new_v4().simple());
    log.create_topic(&topic, 1).await.unwrap();
    let mut member = log.join(&topic, &topic).await.unwrap();
    gather(&mut member, 1).await;
    let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    admin.create_partitions(&[NewPartitions::new(&topic, 3)], &AdminOptions::new()).await.unwrap();
    let added: Vec<u32> = gather(&mut member, 2).await.into_iter().map(|found| found.partition).collect();
    assert_eq!(added, [1, 2]);
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_the_brokers_refuse_is_told_and_not_waited_for() {
    let brokers = std::env::var("TEST_KAFKA_BROKERS").expect("TEST_KAFKA_BROKERS names the brokers, host:port");
    let mut config = KafkaConfig::new(&brokers);
    for (key, value) in [("session.timeout.ms", "1500"), ("heartbeat.interval.ms", "200")] {
        config.properties.insert(key.to_owned(), value.to_owned());
    }
    let log = KafkaLog::new(config, Arc::new(SystemClock)).unwrap();
    let topic = format!("refused.{}", Uuid::new_v4().simple());
    log.create_topic(&topic, 1).await.unwrap();
    let mut member = log.join(&topic, &topic).await.unwrap();
    let answer = tokio::time::timeout(LONG, member.next()).await.expect("nobody says why nothing is assigned");
    assert!(answer.unwrap_err().to_string().contains("session"), "the error does not name its reason");
}

#[derive(Debug)]
struct Renamed {
    log: KafkaLog,
    suffix: String,
}

impl Renamed {
    fn name(&self, topic: &str) -> String {
        format!("{topic}{}", self.suffix)
    }

    fn back(&self, error: LogError) -> LogError {
        match error {
            LogError::UnknownTopic { topic } => {
                LogError::UnknownTopic { topic: topic.strip_suffix(&self.suffix).unwrap().to_owned() }
            }
            other => other,
        }
    }
}

#[async_trait]
impl Log for Renamed {
    async fn create_topic(&self, topic: &str, partitions: u32) -> Result<(), LogError> {
        self.log.create_topic(&self.name(topic), partitions).await
    }

    async fn source(&self, topic: &str) -> Result<SourceId, LogError> {
        self.log.source(&self.name(topic)).await.map_err(|error| self.back(error))
    }

    async fn partitions(&self, topic: &str) -> Result<Vec<SourcePartition>, LogError> {
        self.log.partitions(&self.name(topic)).await.map_err(|error| self.back(error))
    }

    async fn watermarks(&self, partition: &SourcePartition) -> Result<Watermarks, LogError> {
        self.log.watermarks(partition).await
    }

    async fn read(
        &self,
        partition: &SourcePartition,
        from: Offset,
        limit: ReadLimit,
        wait: Duration,
    ) -> Result<Fetched, LogError> {
        self.log.read(partition, from, limit, wait).await
    }

    async fn append(&self, topic: &str, records: &[NewRecord]) -> Result<Vec<SourcePosition>, LogError> {
        self.log.append(&self.name(topic), records).await.map_err(|error| self.back(error))
    }

    async fn join(&self, group: &str, topic: &str) -> Result<Box<dyn Membership>, LogError> {
        let renamed = format!("{group}{}", self.suffix);
        self.log.join(&renamed, &self.name(topic)).await.map_err(|error| self.back(error))
    }

    async fn trim(&self, partition: &SourcePartition, below: Offset, before: DateTime<Utc>) -> Result<u64, LogError> {
        self.log.trim(partition, below, before).await
    }
}
