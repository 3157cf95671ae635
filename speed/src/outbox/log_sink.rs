//! The sink that writes topics of the log, on Kafka and in the embedded one alike.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use kilowatch_shared::{
    log::{LogError, NewRecord, SharedLog},
    outbox::OutboxEntry,
};

use super::{Sink, SinkError};

/// Header that carries the entry's id; a repeated delivery carries the same one.
pub const ID_HEADER: &str = "kilowatch-id";

/// Appends each entry to the topic that it names.
#[derive(Debug)]
pub struct LogSink {
    log: SharedLog,
    partitions: u32,
    made: Mutex<BTreeSet<String>>,
}

impl LogSink {
    /// A sink over this log; topics that are missing are made with so many partitions.
    #[must_use]
    pub const fn new(log: SharedLog, partitions: u32) -> Self {
        Self { log, partitions, made: Mutex::new(BTreeSet::new()) }
    }

    fn made(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn make(&self, topic: &str) -> Result<(), LogError> {
        if !self.made().contains(topic) {
            self.log.create_topic(topic, self.partitions).await?;
            self.made().insert(topic.to_owned());
        }
        Ok(())
    }
}

#[async_trait]
impl Sink for LogSink {
    async fn deliver(&self, entries: &[OutboxEntry]) -> Result<(), SinkError> {
        for run in entries.chunk_by(|a, b| a.topic == b.topic) {
            let Some(first) = run.first() else { continue };
            self.make(&first.topic).await?;
            let records: Vec<NewRecord> = run.iter().map(record).collect();
            if let Err(error) = self.log.append(&first.topic, &records).await {
                // Somebody may have deleted the topic: the next try makes it again.
                self.made().remove(&first.topic);
                return Err(error.into());
            }
        }
        Ok(())
    }
}

fn record(entry: &OutboxEntry) -> NewRecord {
    let id = (ID_HEADER.to_owned(), Bytes::from(entry.id.clone()));
    let others = entry.headers.iter().map(|(name, value)| (name.clone(), Bytes::from(value.clone())));
    NewRecord {
        key: entry.key.clone(),
        payload: entry.payload.clone(),
        headers: std::iter::once(id).chain(others).collect(),
    }
}
