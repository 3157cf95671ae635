//! The one writer: takes what is asked of it, commits it in groups, answers once it is durable.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use sqlx::{Connection, Sqlite, SqliteConnection, Transaction};
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

use super::{
    error::translated,
    group::{self, PartitionAppend},
    schema,
    trim::{self, Trimmed},
};
use crate::{clock::SharedClock, log::LogError, position::Offset};

/// Calls that wait for the disk; the next ones wait for a place. More would not make a group larger.
const QUEUED_CALLS: usize = 1024;
/// A transaction of this size syncs for tens of milliseconds; a larger one would only delay its first call.
const GROUP_BYTES: usize = 8 << 20;

/// Calls that are committed together.
struct Group {
    calls: Vec<Vec<PartitionAppend>>,
    answers: Vec<Answer<Vec<Offset>>>,
}

type Answer<T> = oneshot::Sender<Result<T, LogError>>;

/// What the writer can be asked.
#[derive(Debug)]
pub(super) enum Request {
    CreateTopic { topic: String, partitions: u32, answer: Answer<()> },
    Append { parts: Vec<PartitionAppend>, answer: Answer<Vec<Offset>> },
    Trim { partition_id: i64, below: Offset, before: DateTime<Utc>, answer: Answer<Trimmed> },
}

/// Starts the writer on its connection; it ends when the last sender is gone and all is answered.
pub(super) fn start(
    path: PathBuf,
    connection: SqliteConnection,
    clock: SharedClock,
    committed: Arc<Notify>,
) -> mpsc::Sender<Request> {
    let (requests, queue) = mpsc::channel(QUEUED_CALLS);
    tokio::spawn(Writer { path, connection, clock, committed, queue }.run());
    requests
}

struct Writer {
    path: PathBuf,
    connection: SqliteConnection,
    clock: SharedClock,
    committed: Arc<Notify>,
    queue: mpsc::Receiver<Request>,
}

impl Writer {
    async fn run(mut self) {
        while let Some(request) = self.queue.recv().await {
            let mut next = Some(request);
            while let Some(request) = next.take() {
                next = self.serve(request).await;
            }
        }
    }

    /// Serves a request, and the appends that wait behind it if it is one; gives back a request of another kind that
    /// ended the group.
    async fn serve(&mut self, request: Request) -> Option<Request> {
        match request {
            Request::CreateTopic { topic, partitions, answer } => {
                let _ = answer.send(self.create_topic(&topic, partitions).await);
                None
            }
            Request::Trim { partition_id, below, before, answer } => {
                let _ = answer.send(self.trim(partition_id, below, before).await);
                None
            }
            Request::Append { parts, answer } => {
                let (group, next) = self.collect(parts, answer);
                let outcome = self.append(group.calls).await;
                self.committed.notify_waiters();
                reply(outcome, group.answers);
                next
            }
        }
    }

    /// Takes the appends that are waiting already. Nobody waits for company: a lone call is committed at once.
    fn collect(&mut self, parts: Vec<PartitionAppend>, answer: Answer<Vec<Offset>>) -> (Group, Option<Request>) {
        let mut bytes = size(&parts);
        let mut group = Group { calls: vec![parts], answers: vec![answer] };
        while bytes < GROUP_BYTES {
            match self.queue.try_recv() {
                Ok(Request::Append { parts, answer }) => {
                    bytes += size(&parts);
                    group.calls.push(parts);
                    group.answers.push(answer);
                }
                Ok(other) => return (group, Some(other)),
                Err(_) => break,
            }
        }
        (group, None)
    }

    async fn append(&mut self, calls: Vec<Vec<PartitionAppend>>) -> Result<Vec<Vec<Offset>>, LogError> {
        let mut transaction = begin(&mut self.connection, &self.path).await?;
        // Read under the lock, so that time does not run backwards along the offsets of two processes.
        let now = self.clock.now();
        let firsts = group::append(&mut transaction, calls, now).await?;
        transaction.commit().await.map_err(translated)?;
        Ok(firsts)
    }

    async fn create_topic(&mut self, topic: &str, partitions: u32) -> Result<(), LogError> {
        let mut transaction = begin(&mut self.connection, &self.path).await?;
        let topic_id: Option<i64> = sqlx::query_scalar(
            "INSERT INTO topics (name, source) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING RETURNING topic_id",
        )
        .bind(topic)
        .bind(format!("log:{}:{topic}", Uuid::new_v4()))
        .fetch_optional(&mut *transaction)
        .await
        .map_err(translated)?;
        if let Some(topic_id) = topic_id {
            for number in 0..partitions.max(1) {
                sqlx::query("INSERT INTO partitions (topic_id, number) VALUES (?1, ?2)")
                    .bind(topic_id)
                    .bind(i64::from(number))
                    .execute(&mut *transaction)
                    .await
                    .map_err(translated)?;
            }
        }
        transaction.commit().await.map_err(translated)
    }

    async fn trim(&mut self, partition_id: i64, below: Offset, before: DateTime<Utc>) -> Result<Trimmed, LogError> {
        let mut transaction = begin(&mut self.connection, &self.path).await?;
        let trimmed = trim::trim(&mut transaction, partition_id, below, before).await?;
        transaction.commit().await.map_err(translated)?;
        Ok(trimmed)
    }
}

/// A full disk makes SQLite roll a transaction back by itself. The driver does not notice, and refuses every later one on
/// that connection.
async fn begin<'c>(connection: &'c mut SqliteConnection, path: &Path) -> Result<Transaction<'c, Sqlite>, LogError> {
    if connection.is_in_transaction() {
        *connection = SqliteConnection::connect_with(&schema::options(path)).await.map_err(translated)?;
    }
    connection.begin_with("BEGIN IMMEDIATE").await.map_err(translated)
}

/// A caller that went away has its messages in the log all the same; its answer has no reader.
fn reply(outcome: Result<Vec<Vec<Offset>>, LogError>, answers: Vec<Answer<Vec<Offset>>>) {
    match outcome {
        Ok(firsts) => {
            for (answer, firsts) in answers.into_iter().zip(firsts) {
                let _ = answer.send(Ok(firsts));
            }
        }
        Err(error) => {
            tracing::warn!(log.calls = answers.len(), %error, "a group of appends was rolled back");
            for answer in answers {
                let _ = answer.send(Err(repeated(&error)));
            }
        }
    }
}

/// The same meaning for every call of a group; only these two meanings come out of a transaction.
fn repeated(error: &LogError) -> LogError {
    match error {
        LogError::Unavailable { reason } => LogError::Unavailable { reason: reason.clone() },
        other => LogError::Unusable { reason: other.to_string() },
    }
}

fn size(parts: &[PartitionAppend]) -> usize {
    parts.iter().flat_map(|part| &part.chunks).map(|chunk| chunk.body.len()).sum()
}
