//! Topics: making them, asking what they have. librdkafka's calls block, so they run beside the runtime.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    config::FromClientConfigAndContext,
    error::RDKafkaErrorCode,
    producer::{FutureProducer, Producer},
    types::RDKafkaRespErr,
};

use super::{
    config::KafkaConfig,
    contact::Contact,
    error::{of_code, translated},
    telemetry::Telemetry,
};
use crate::{
    log::{LogError, Watermarks},
    position::Offset,
};

/// How long a broker may take to answer a question; a broker that restarts answers after a few seconds.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks for a topic that was just made.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Asks the cluster about topics.
pub(super) struct Admin {
    config: KafkaConfig,
    client: FutureProducer<Contact>,
    contact: Contact,
    partition_counts: Mutex<HashMap<String, u32>>,
}

impl Admin {
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, LogError> {
        // Of librdkafka's two kinds of client the producer is the lighter one; this one never produces.
        let contact = Contact::default();
        let client = FutureProducer::from_config_and_context(&config.admin(), contact.clone())
            .map_err(|error| translated(&error, ""))?;
        Ok(Self { config: config.clone(), client, contact, partition_counts: Mutex::default() })
    }

    /// The number of partitions, as the cluster has it now.
    pub(super) async fn partition_count(&self, topic: &str) -> Result<u32, LogError> {
        let (client, contact, name) = (self.client.clone(), self.contact.clone(), topic.to_owned());
        let count = beside(move || look_up(&client, &contact, &name)).await?;
        self.remembered().insert(topic.to_owned(), count);
        Ok(count)
    }

    /// Whether the topic has this partition. The cluster is asked if it was not known to: partitions are added, never
    /// taken away.
    pub(super) async fn has_partition(&self, topic: &str, partition: u32) -> Result<bool, LogError> {
        let known = self.remembered().get(topic).is_some_and(|count| partition < *count);
        Ok(known || partition < self.partition_count(topic).await?)
    }

    /// The ends of a partition, as far as readers may see.
    pub(super) async fn watermarks(&self, topic: &str, partition: u32) -> Result<Watermarks, LogError> {
        let (client, contact, name) = (self.client.clone(), self.contact.clone(), topic.to_owned());
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let (low, high) =
            beside(move || contact.outcome(client.client().fetch_watermarks(&name, number, ANSWER_WITHIN), &name))
                .await?;
        let offset =
            |end| Offset::try_from_i64(end).map_err(|invalid| LogError::Unavailable { reason: invalid.to_string() });
        Ok(Watermarks { low: offset(low)?, high: offset(high)? })
    }

    /// Makes a topic unless it is there.
    pub(super) async fn create_topic(&self, topic: &str, partitions: u32) -> Result<(), LogError> {
        match self.partition_count(topic).await {
            Err(LogError::UnknownTopic { .. }) => {}
            known_or_failed => return known_or_failed.map(|_| ()),
        }
        let client: AdminClient<Telemetry> = AdminClient::from_config_and_context(&self.config.admin(), Telemetry)
            .map_err(|error| translated(&error, topic))?;
        let count = i32::try_from(partitions.max(1)).unwrap_or(i32::MAX);
        // -1 is the protocol's word for the cluster's default.
        let replication = TopicReplication::Fixed(self.config.replication.map_or(-1, i32::from));
        let options = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN)).operation_timeout(Some(ANSWER_WITHIN));
        let outcome = client.create_topics(&[NewTopic::new(topic, count, replication)], &options).await;
        // Dropping it waits for its thread.
        beside(move || {
            drop(client);
            Ok(())
        })
        .await?;
        match outcome.map_err(|error| translated(&error, topic))?.into_iter().next() {
            Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => Err(of_code(code, topic)),
            _ => self.until_known(topic).await,
        }
    }

    /// Brokers learn of a new topic one after another.
    async fn until_known(&self, topic: &str) -> Result<(), LogError> {
        let look = async {
            loop {
                match self.partition_count(topic).await {
                    Err(LogError::UnknownTopic { .. }) => tokio::time::sleep(LOOK_EVERY).await,
                    known_or_failed => return known_or_failed.map(|_| ()),
                }
            }
        };
        tokio::time::timeout(ANSWER_WITHIN, look).await.unwrap_or_else(|_| {
            Err(LogError::Unavailable { reason: format!("topic `{topic}` was made, but no broker knows it yet") })
        })
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.partition_counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look_up(client: &FutureProducer<Contact>, contact: &Contact, topic: &str) -> Result<u32, LogError> {
    let unknown = || LogError::UnknownTopic { topic: topic.to_owned() };
    let metadata = contact.outcome(client.client().fetch_metadata(Some(topic), ANSWER_WITHIN), topic)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic).ok_or_else(unknown)?;
    if let Some(code) = found.error() {
        return Err(of_code(RDKafkaRespErr::into(code), topic));
    }
    match u32::try_from(found.partitions().len()) {
        Ok(0) | Err(_) => Err(unknown()),
        Ok(count) => Ok(count),
    }
}

async fn beside<T: Send + 'static>(call: impl FnOnce() -> Result<T, LogError> + Send + 'static) -> Result<T, LogError> {
    tokio::task::spawn_blocking(call)
        .await
        .map_err(|stopped| LogError::Unavailable { reason: format!("the call to Kafka was stopped: {stopped}") })?
}
