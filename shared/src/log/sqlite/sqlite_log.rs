//! The handle on the file.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{Connection, SqliteConnection, SqlitePool, sqlite::SqlitePoolOptions};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    chunk::pack,
    error::translated,
    group::PartitionAppend,
    reads::{self, Topic},
    schema,
    writer::{self, Request},
};
use crate::{
    checkpoint::SourcePartition,
    clock::SharedClock,
    log::{
        Fetched, Log, LogError, Membership, NewRecord, ReadLimit, Watermarks, membership::coordinator::Coordinator,
        partitioner::partition_of, topic::check_name,
    },
    position::{Offset, SourceId, SourcePosition},
    retry::Backoff,
};

/// Reads at one moment; the next ones wait their turn. More than the partitions that a machine with an embedded log has.
const READERS: u32 = 8;
/// How long another process's append may stay unseen; an idle partition costs twenty small looks a second.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Rows that SQLite may read ahead of a read that ends early, 2 MiB of full chunks.
const ROWS_AHEAD: usize = 8;

/// The embedded log. Its sources are `log:<uuid>:<topic>`, with a uuid made together with the topic.
#[derive(Debug)]
pub struct SqliteLog {
    path: PathBuf,
    readers: SqlitePool,
    writer: mpsc::Sender<Request>,
    committed: Arc<Notify>,
    topics: Mutex<HashMap<String, Arc<Topic>>>,
    groups: Coordinator,
}

impl SqliteLog {
    /// Opens the log at `path`, makes it and its folder if needed, and stamps messages with `clock`. Its writer runs on
    /// the runtime that this is called on, which therefore has to outlive the log.
    ///
    /// # Errors
    /// [`LogError::Unusable`] for a file that is not a log of this version, [`LogError::Unavailable`] if it cannot be
    /// opened.
    pub async fn open(path: impl AsRef<Path>, clock: SharedClock) -> Result<Self, LogError> {
        let path = path.as_ref();
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder)
                .await
                .map_err(|error| LogError::Unavailable { reason: format!("{}: {error}", folder.display()) })?;
        }
        // Two processes that make the file at once can find it locked while it changes to its journal mode.
        let connection = Backoff::standard().run(|| open_writer(path), LogError::retry_hint).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .connect_lazy_with(schema::options(path).pragma("query_only", "on").row_buffer_size(ROWS_AHEAD));
        let committed = Arc::new(Notify::new());
        let writer = writer::start(path.to_owned(), connection, clock, committed.clone());
        Ok(Self {
            path: path.to_owned(),
            readers,
            writer,
            committed,
            topics: Mutex::default(),
            groups: Coordinator::default(),
        })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn topic(&self, name: &str) -> Result<Arc<Topic>, LogError> {
        let remembered = self.topics.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(topic) = remembered {
            return Ok(topic);
        }
        let topic = Arc::new(reads::topic(&self.readers, name).await?);
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), topic.clone());
        Ok(topic)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Request,
    ) -> Result<T, LogError> {
        let stopped = || LogError::Unavailable { reason: "the log's writer has stopped".to_owned() };
        let (answer, answered) = oneshot::channel();
        self.writer.send(request(answer)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

#[async_trait]
impl Log for SqliteLog {
    async fn create_topic(&self, topic: &str, partitions: u32) -> Result<(), LogError> {
        check_name(topic)?;
        self.ask(|answer| Request::CreateTopic { topic: topic.to_owned(), partitions, answer }).await
    }

    async fn source(&self, topic: &str) -> Result<SourceId, LogError> {
        Ok(self.topic(topic).await?.source.clone())
    }

    async fn partitions(&self, topic: &str) -> Result<Vec<SourcePartition>, LogError> {
        let topic = self.topic(topic).await?;
        let partition = |(partition, _)| SourcePartition { source: topic.source.clone(), partition };
        Ok((0..).zip(&topic.partition_ids).map(partition).collect())
    }

    async fn watermarks(&self, partition: &SourcePartition) -> Result<Watermarks, LogError> {
        Ok(reads::ends(&self.readers, partition).await?.1)
    }

    async fn read(
        &self,
        partition: &SourcePartition,
        from: Offset,
        limit: ReadLimit,
        wait: Duration,
    ) -> Result<Fetched, LogError> {
        let deadline = Instant::now() + wait;
        loop {
            let committed = self.committed.notified();
            tokio::pin!(committed);
            // Registered before looking, so that a commit between the look and the wait is not slept through.
            committed.as_mut().enable();
            let fetched = reads::fetch(&self.readers, partition, from, limit).await?;
            let bounded = limit.before.is_some_and(|before| before <= from);
            if fetched.next != from || bounded || Instant::now() >= deadline {
                return Ok(fetched);
            }
            let look_again = deadline.min(Instant::now() + LOOK_EVERY);
            let _ = timeout_at(look_again, committed).await;
        }
    }

    async fn append(&self, topic: &str, records: &[NewRecord]) -> Result<Vec<SourcePosition>, LogError> {
        let topic = self.topic(topic).await?;
        let (parts, places) = split(&topic, records)?;
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let firsts = self.ask(|answer| Request::Append { parts, answer }).await?;
        let position = |place: Place| SourcePosition {
            source: topic.source.clone(),
            partition: place.partition,
            offset: firsts.get(place.part).map_or(Offset::ZERO, |first| first.plus(place.distance)),
        };
        Ok(places.into_iter().map(position).collect())
    }

    async fn join(&self, group: &str, topic: &str) -> Result<Box<dyn Membership>, LogError> {
        Ok(self.groups.join(group, topic, self.partitions(topic).await?))
    }

    async fn trim(&self, partition: &SourcePartition, below: Offset, before: DateTime<Utc>) -> Result<u64, LogError> {
        let (partition_id, _) = reads::ends(&self.readers, partition).await?;
        let mut records = 0;
        loop {
            let step = self.ask(|answer| Request::Trim { partition_id, below, before, answer }).await?;
            records += step.records;
            if !step.more {
                return Ok(records);
            }
        }
    }
}

/// Where a message of a call goes: which part of the call, how far behind its first message.
struct Place {
    part: usize,
    partition: u32,
    distance: u64,
}

/// Packs the messages of a call by partition, and notes the place of each.
fn split(topic: &Topic, records: &[NewRecord]) -> Result<(Vec<PartitionAppend>, Vec<Place>), LogError> {
    let count = u32::try_from(topic.partition_ids.len()).unwrap_or(u32::MAX);
    let mut parts: Vec<PartitionAppend> = Vec::new();
    let mut part_of: HashMap<u32, usize> = HashMap::new();
    let mut places = Vec::with_capacity(records.len());
    for record in records {
        let partition = partition_of(record.key.as_deref(), count);
        let Some(partition_id) = topic.partition_ids.get(partition as usize) else { continue };
        let index = *part_of.entry(partition).or_insert_with(|| {
            parts.push(PartitionAppend { partition_id: *partition_id, ..PartitionAppend::default() });
            parts.len() - 1
        });
        let Some(part) = parts.get_mut(index) else { continue };
        pack(&mut part.chunks, record)?;
        places.push(Place { part: index, partition, distance: part.records });
        part.records += 1;
    }
    Ok((parts, places))
}

async fn open_writer(path: &Path) -> Result<SqliteConnection, LogError> {
    let mut connection = SqliteConnection::connect_with(&schema::options(path)).await.map_err(translated)?;
    schema::prepare(&mut connection, path).await?;
    Ok(connection)
}
