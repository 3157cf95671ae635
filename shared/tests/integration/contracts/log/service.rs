//! The same suite on a real Kafka, which many tests share: each gets topics under a name of its own.
//!
//! `TEST_KAFKA_BROKERS=127.0.0.1:9092 cargo test -p kilowatch-shared --features service-tests`

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kilowatch_shared::{
    checkpoint::SourcePartition,
    clock::SharedClock,
    log::{
        Fetched, Log, LogError, NewRecord, ReadLimit, SharedLog, Watermarks,
        kafka::{KafkaConfig, KafkaLog},
    },
    position::{Offset, SourceId, SourcePosition},
};
use uuid::Uuid;

/// A log on the brokers that the variable names.
pub fn kafka(clock: SharedClock) -> SharedLog {
    let brokers = std::env::var("TEST_KAFKA_BROKERS").expect("TEST_KAFKA_BROKERS names the brokers, host:port");
    let log = KafkaLog::new(KafkaConfig::new(brokers), clock).unwrap();
    Arc::new(Renamed { log, suffix: format!(".{}", Uuid::new_v4().simple()) })
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

    async fn trim(&self, partition: &SourcePartition, below: Offset, before: DateTime<Utc>) -> Result<u64, LogError> {
        self.log.trim(partition, below, before).await
    }
}
