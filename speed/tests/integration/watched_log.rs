//! A log of one partition that takes note of how far it was read, and how much.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kilowatch_shared::{
    checkpoint::SourcePartition,
    log::{Fetched, Log, LogError, Membership, NewRecord, ReadLimit, Watermarks, memory::MemoryLog},
    position::{Offset, SourceId, SourcePosition},
};

#[derive(Debug)]
pub struct WatchedLog {
    inner: Arc<MemoryLog>,
    furthest: AtomicU64,
    delivered: AtomicU64,
    rounds: AtomicU64,
}

impl WatchedLog {
    pub fn new(inner: Arc<MemoryLog>) -> Self {
        Self { inner, furthest: AtomicU64::new(0), delivered: AtomicU64::new(0), rounds: AtomicU64::new(0) }
    }

    /// The first offset that was not read yet.
    pub fn furthest(&self) -> u64 {
        self.furthest.load(Ordering::SeqCst)
    }

    /// How many messages were read, each as often as it was read.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::SeqCst)
    }

    /// How often the layer asked whether the log is there, as it does at every refresh.
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Log for WatchedLog {
    async fn create_topic(&self, topic: &str, partitions: u32) -> Result<(), LogError> {
        self.inner.create_topic(topic, partitions).await
    }

    async fn source(&self, topic: &str) -> Result<SourceId, LogError> {
        self.rounds.fetch_add(1, Ordering::SeqCst);
        self.inner.source(topic).await
    }

    async fn partitions(&self, topic: &str) -> Result<Vec<SourcePartition>, LogError> {
        self.inner.partitions(topic).await
    }

    async fn watermarks(&self, partition: &SourcePartition) -> Result<Watermarks, LogError> {
        self.inner.watermarks(partition).await
    }

    async fn read(
        &self,
        partition: &SourcePartition,
        from: Offset,
        limit: ReadLimit,
        wait: Duration,
    ) -> Result<Fetched, LogError> {
        let fetched = self.inner.read(partition, from, limit, wait).await?;
        self.furthest.fetch_max(fetched.next.get(), Ordering::SeqCst);
        self.delivered.fetch_add(fetched.records.len() as u64, Ordering::SeqCst);
        Ok(fetched)
    }

    async fn append(&self, topic: &str, records: &[NewRecord]) -> Result<Vec<SourcePosition>, LogError> {
        self.inner.append(topic, records).await
    }

    async fn join(&self, group: &str, topic: &str) -> Result<Box<dyn Membership>, LogError> {
        self.inner.join(group, topic).await
    }

    async fn trim(&self, partition: &SourcePartition, below: Offset, before: DateTime<Utc>) -> Result<u64, LogError> {
        self.inner.trim(partition, below, before).await
    }
}
