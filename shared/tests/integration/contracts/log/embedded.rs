//! What only a log in a file can show: it outlives its process, and two processes may have it open.

use std::{path::Path, sync::Arc, time::Duration};

use kilowatch_shared::{
    clock::SystemClock,
    log::{Log, LogError, sqlite::SqliteLog},
    position::Offset,
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::time::timeout;

use super::subject::{LONG, message, numbered, offsets, plenty, texts};

#[tokio::test]
async fn a_reopened_log_has_its_messages_its_sources_and_its_offsets() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path()).await;
    log.create_topic("energy", 1).await.unwrap();
    log.append("energy", &numbered(10)).await.unwrap();
    let partition = log.partitions("energy").await.unwrap().remove(0);
    log.trim(&partition, Offset::new(4), chrono::DateTime::<chrono::Utc>::MAX_UTC).await.unwrap();
    drop(log);

    let log = open(folder.path()).await;
    assert_eq!(log.partitions("energy").await.unwrap(), std::slice::from_ref(&partition));
    let ends = log.watermarks(&partition).await.unwrap();
    assert_eq!((ends.low.get(), ends.high.get()), (4, 10));
    let position = log.append("energy", &numbered(1)).await.unwrap().remove(0);
    assert_eq!(position.offset, Offset::new(10));
    let fetched = log.read(&partition, Offset::new(4), plenty(), LONG).await.unwrap();
    assert_eq!(offsets(&fetched.records), (4..11).collect::<Vec<_>>());
}

#[tokio::test]
async fn two_files_have_two_sources_for_one_topic() {
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut sources = Vec::new();
    for folder in [&one, &two] {
        let log = open(folder.path()).await;
        log.create_topic("energy", 1).await.unwrap();
        sources.push(log.source("energy").await.unwrap());
    }
    assert_ne!(sources[0], sources[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_append_without_losing_or_sharing_an_offset() {
    let folder = TempDir::new().unwrap();
    // Each handle has connections of its own, as a second process would.
    let handles = [open(folder.path()).await, open(folder.path()).await].map(Arc::new);
    handles[0].create_topic("energy", 1).await.unwrap();
    let tasks = handles.clone().map(|log| {
        tokio::spawn(async move {
            let mut taken = Vec::new();
            for _ in 0..40 {
                taken.extend(log.append("energy", &numbered(3)).await.unwrap().into_iter().map(|at| at.offset.get()));
            }
            taken
        })
    });
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.unwrap());
    }
    taken.sort_unstable();
    assert_eq!(taken, (0..240).collect::<Vec<_>>());
    let partition = handles[1].partitions("energy").await.unwrap().remove(0);
    let fetched = handles[1].read(&partition, Offset::ZERO, plenty(), LONG).await.unwrap();
    assert_eq!(offsets(&fetched.records), taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_read_sees_what_another_process_appends() {
    let folder = TempDir::new().unwrap();
    let (reader, writer) = (Arc::new(open(folder.path()).await), open(folder.path()).await);
    writer.create_topic("energy", 1).await.unwrap();
    let partition = reader.partitions("energy").await.unwrap().remove(0);
    let waiting =
        tokio::spawn(async move { reader.read(&partition, Offset::ZERO, plenty(), Duration::from_secs(3600)).await });
    writer.append("energy", &[message("m", "news")]).await.unwrap();
    let fetched = timeout(LONG, waiting).await.expect("the append stayed unseen").unwrap().unwrap();
    assert_eq!(texts(&fetched.records), ["news"]);
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_any_more_is_whole_or_absent() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path()).await;
    log.create_topic("energy", 1).await.unwrap();
    for _ in 0..20 {
        let _ = timeout(Duration::ZERO, log.append("energy", &numbered(7))).await;
    }
    log.append("energy", &numbered(7)).await.unwrap();
    let partition = log.partitions("energy").await.unwrap().remove(0);
    let high = log.watermarks(&partition).await.unwrap().high.get();
    assert_eq!(high % 7, 0);
    let fetched = log.read(&partition, Offset::ZERO, plenty(), LONG).await.unwrap();
    let expected: Vec<String> = (0..high).map(|offset| (offset % 7).to_string()).collect();
    assert_eq!(texts(&fetched.records), expected);
}

#[tokio::test]
async fn a_large_backlog_is_trimmed_in_steps_to_the_very_offset() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path()).await;
    log.create_topic("energy", 1).await.unwrap();
    // A chunk for each append: more of them than one step drops.
    for batch in numbered(450).chunks(3) {
        log.append("energy", batch).await.unwrap();
    }
    let partition = log.partitions("energy").await.unwrap().remove(0);
    let dropped = log.trim(&partition, Offset::new(400), chrono::DateTime::<chrono::Utc>::MAX_UTC).await.unwrap();
    assert_eq!(dropped, 400);
    let fetched = log.read(&partition, Offset::new(400), plenty(), LONG).await.unwrap();
    assert_eq!(offsets(&fetched.records), (400..450).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_database_of_someone_else_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log.sqlite");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("CREATE TABLE theirs (x INTEGER)").execute(&mut other).await.unwrap();
    let error = SqliteLog::open(&path, Arc::new(SystemClock)).await.unwrap_err();
    assert!(matches!(&error, LogError::Unusable { reason } if reason.contains("not a log")), "{error}");
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema").fetch_all(&mut other).await.unwrap();
    assert_eq!(tables, ["theirs"]);
}

#[tokio::test]
async fn a_name_that_kafka_would_refuse_is_refused() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path()).await;
    for bad in ["", "a/b", "energy stream", "..", "#1"] {
        assert!(matches!(log.create_topic(bad, 1).await, Err(LogError::Unusable { .. })), "{bad:?}");
    }
}

async fn open(folder: &Path) -> SqliteLog {
    SqliteLog::open(folder.join("data/log.sqlite"), Arc::new(SystemClock)).await.unwrap()
}
