//! Appending: every message is acknowledged by all in-sync replicas before a call returns.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    config::FromClientConfigAndContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, future_producer::DeliveryFuture},
};

use super::{config::KafkaConfig, error::translated, telemetry::Telemetry};
use crate::{
    log::{LogError, NewRecord},
    position::Offset,
};

/// Between two tries to put a message into a full queue; librdkafka drains it in about this time.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(2);

type Client = FutureProducer<Telemetry>;

/// Where a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) partition: u32,
    pub(super) offset: Offset,
}

/// Appends to topics.
pub(super) struct Appender {
    config: KafkaConfig,
    client: Mutex<Client>,
    /// Held while a call is queued, so that the messages of two calls do not mix inside a partition.
    turn: tokio::sync::Mutex<()>,
}

impl Appender {
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, LogError> {
        let client = connect(config)?;
        Ok(Self { config: config.clone(), client: Mutex::new(client), turn: tokio::sync::Mutex::default() })
    }

    /// Appends the messages, stamped with `timestamp_ms`, and waits until all of them are acknowledged.
    pub(super) async fn append(
        &self,
        topic: &str,
        records: &[NewRecord],
        timestamp_ms: i64,
    ) -> Result<Vec<Delivered>, LogError> {
        let client = self.client();
        let mut deliveries = Vec::with_capacity(records.len());
        let turn = self.turn.lock().await;
        for record in records {
            deliveries.push(enqueue(&client, topic, record, timestamp_ms).await.map_err(|e| self.failed(&e, topic))?);
        }
        drop(turn);
        let mut delivered = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let delivery = match delivery.await {
                Ok(Ok(delivery)) => delivery,
                Ok(Err((error, _))) => return Err(self.failed(&error, topic)),
                Err(_) => return Err(self.failed(&KafkaError::Canceled, topic)),
            };
            delivered.push(place(delivery.partition, delivery.offset)?);
        }
        Ok(delivered)
    }

    fn client(&self) -> Client {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Translates the error. A fatal one ends an idempotent producer for good, so the next call gets another.
    fn failed(&self, error: &KafkaError, topic: &str) -> LogError {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            tracing::warn!(
                kafka.topic = topic,
                "the producer ended with a fatal error, the next append gets a new one"
            );
            match connect(&self.config) {
                Ok(fresh) => *self.client.lock().unwrap_or_else(PoisonError::into_inner) = fresh,
                Err(error) => return error,
            }
        }
        translated(error, topic)
    }
}

fn connect(config: &KafkaConfig) -> Result<Client, LogError> {
    Client::from_config_and_context(&config.producer(), Telemetry).map_err(|error| translated(&error, ""))
}

async fn enqueue(
    client: &Client,
    topic: &str,
    record: &NewRecord,
    timestamp_ms: i64,
) -> Result<DeliveryFuture, KafkaError> {
    loop {
        let mut message: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic).timestamp(timestamp_ms);
        message.key = record.key.as_deref();
        message.payload = record.payload.as_deref();
        message.headers = headers(record);
        match client.send_result(message) {
            Ok(delivery) => return Ok(delivery),
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                tokio::time::sleep(FULL_QUEUE_PAUSE).await;
            }
            Err((error, _)) => return Err(error),
        }
    }
}

fn headers(record: &NewRecord) -> Option<OwnedHeaders> {
    (!record.headers.is_empty()).then(|| {
        let empty = OwnedHeaders::new_with_capacity(record.headers.len());
        record
            .headers
            .iter()
            .fold(empty, |headers, (name, value)| headers.insert(Header { key: name, value: Some(value.as_ref()) }))
    })
}

/// A broker that recognises a repeated request may have forgotten where the first one went.
fn place(partition: i32, offset: i64) -> Result<Delivered, LogError> {
    match (u32::try_from(partition), Offset::try_from_i64(offset)) {
        (Ok(partition), Ok(offset)) => Ok(Delivered { partition, offset }),
        _ => Err(LogError::Unavailable { reason: "the broker took a message and did not say where".to_owned() }),
    }
}
