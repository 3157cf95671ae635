//! The door to the log: ordered partitions of messages, read by position.
//!
//! `sqlite::SqliteLog` is embedded (one file), `kafka::KafkaLog` speaks to brokers, `memory::MemoryLog` is the
//! twin for tests. The suite that all of them pass is in `shared/tests/integration/contracts/log/`.

mod budget;
mod error;
pub mod kafka;
mod membership;
pub mod memory;
mod open;
mod partitioner;
pub mod sqlite;
mod topic;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};

pub use error::LogError;
pub use membership::{Change, Membership, Release};
pub use open::{LogAddress, open};
pub(crate) use topic::check_name;

use crate::{
    checkpoint::SourcePartition,
    position::{Offset, SourceId, SourcePosition},
};

/// A log that can be handed around.
pub type SharedLog = Arc<dyn Log>;

/// A message as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Its offset.
    pub offset: Offset,
    /// Its key, if it has one.
    pub key: Option<Bytes>,
    /// Its bytes; `None` is a tombstone.
    pub payload: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<(String, Bytes)>,
    /// When the log took it.
    pub timestamp: DateTime<Utc>,
}

/// A message to be appended. Messages of one key keep their order: they go to one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// The key; without one the log chooses a partition.
    pub key: Option<Bytes>,
    /// The bytes.
    pub payload: Option<Bytes>,
    /// The headers.
    pub headers: Vec<(String, Bytes)>,
}

/// What one read brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Messages in offset order. Offsets that the log never delivered (control records, compaction) are absent.
    pub records: Vec<LogRecord>,
    /// Where the next read goes on. Equal to the offset asked for if there was nothing.
    pub next: Offset,
}

/// Bounds of one read; whichever is reached first ends it. At least one message comes, however large.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimit {
    /// Most messages.
    pub records: usize,
    /// Most bytes of keys, payloads and headers together.
    pub bytes: usize,
    /// Offsets at and above this one are left alone.
    pub before: Option<Offset>,
}

/// The ends of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset that is still there.
    pub low: Offset,
    /// The offset that the next message gets.
    pub high: Offset,
}

/// Promises of a log, tested by the contract suite.
#[async_trait]
pub trait Log: std::fmt::Debug + Send + Sync {
    /// Makes the topic unless it is there; an existing topic keeps its partitions.
    async fn create_topic(&self, topic: &str, partitions: u32) -> Result<(), LogError>;

    /// The source of a topic, in its current generation.
    ///
    /// # Errors
    /// [`LogError::UnknownTopic`].
    async fn source(&self, topic: &str) -> Result<SourceId, LogError>;

    /// The partitions of a topic, ascending.
    ///
    /// # Errors
    /// [`LogError::UnknownTopic`].
    async fn partitions(&self, topic: &str) -> Result<Vec<SourcePartition>, LogError>;

    /// The ends of a partition.
    async fn watermarks(&self, partition: &SourcePartition) -> Result<Watermarks, LogError>;

    /// Reads from `from` on; waits up to `wait` for the first message and then takes what is there.
    /// Cancelling it loses nothing: a position is the caller's, not the log's. An empty answer says that nothing came
    /// in time; only the watermarks say where the log ends.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] if `from` is below the low or above the high watermark.
    async fn read(
        &self,
        partition: &SourcePartition,
        from: Offset,
        limit: ReadLimit,
        wait: Duration,
    ) -> Result<Fetched, LogError>;

    /// Appends messages and returns their positions, in order, once they are durable. All of one call go in, or none,
    /// where the log has transactions; else an error may leave a part of them behind.
    async fn append(&self, topic: &str, records: &[NewRecord]) -> Result<Vec<SourcePosition>, LogError>;

    /// Joins the readers of a topic that share its partitions under the name of a group. Members of several processes
    /// find each other where the log has brokers; an embedded log belongs to one process.
    ///
    /// # Errors
    /// [`LogError::UnknownTopic`], where that is known at once.
    async fn join(&self, group: &str, topic: &str) -> Result<Box<dyn Membership>, LogError>;

    /// Drops messages below `below` and older than `before`; returns how many. A log that cleans itself does nothing.
    async fn trim(&self, partition: &SourcePartition, below: Offset, before: DateTime<Utc>) -> Result<u64, LogError>;
}
