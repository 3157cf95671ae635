//! History files: known by content, checked against each other.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use kilowatch_shared::{
    clock::FixedClock,
    lake::{
        CommitOutcome, LakeError, LakeTable, SegmentLake,
        delta::{DeltaLake, FileIngest, WrittenFile},
        files::encode_file,
        schema::{readings_schema, readings_to_batch, split_by_bucket},
        store::LakeStore,
    },
    position::{Offset, SourceId, SourcePosition},
    reading::LakeReading,
    stream::profile::Bucket,
};

use super::{NOTHING, close, door};
use crate::contracts::lake::subject::{at_minute, dead_letter, partition, profile, row};

fn file(sha256: &str) -> FileIngest {
    FileIngest {
        sha256: sha256.to_owned(),
        name: "history.txt".to_owned(),
        counts: [("appended".to_owned(), 9)].into(),
    }
}

fn history(sha256: &str, rows: u64) -> RecordBatch {
    let rows: Vec<LakeReading> = (0..rows)
        .map(|number| {
            let mut row = row(&partition(0), number);
            row.reading.event_time = at_minute(number * 1_000);
            let source = SourceId::parse(&format!("file:{sha256}")).unwrap();
            row.position = SourcePosition { source, partition: 0, offset: Offset::new(number) };
            row
        })
        .collect();
    readings_to_batch(&profile(), &rows.iter().collect::<Vec<_>>()).unwrap()
}

async fn written(lake: &DeltaLake, sha256: &str, rows: u64) -> Vec<WrittenFile> {
    let buckets = split_by_bucket(Bucket::Month, "event_time", &history(sha256, rows)).unwrap();
    let schema = readings_schema(&profile());
    let files = buckets.into_iter().map(|(bucket, rows)| encode_file(&schema, bucket, &[rows]).unwrap()).collect();
    lake.put_files(&profile(), LakeTable::Readings, files).await.unwrap()
}

#[tokio::test]
async fn a_file_is_known_with_its_rows_and_not_before() {
    let store = LakeStore::in_memory();
    let lake = door(&store);
    let files = written(&lake, "aa", 100).await;
    assert!(files.len() > 1, "a hundred thousand minutes are several months");
    assert!(!lake.known_file(&profile().name, "aa").await.unwrap());
    assert!(lake.open_table(&profile().name, LakeTable::Readings, None).await.is_err());
    let outcome = lake.append_file(&profile(), &NOTHING, &file("aa"), &files).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Committed(0));
    assert!(door(&store).known_file(&profile().name, "aa").await.unwrap());
    let table = lake.open_table(&profile().name, LakeTable::Readings, None).await.unwrap();
    assert_eq!(table.files.iter().filter_map(|file| file.stats.rows).sum::<u64>(), 100);
    assert!(table.closed.is_empty(), "a file has no L");
}

#[tokio::test]
async fn a_second_file_has_to_be_compared_again() {
    let store = LakeStore::in_memory();
    let (lake, other) = (door(&store), door(&store));
    let base = lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    let files = written(&lake, "aa", 10).await;
    other.append_file(&profile(), &base, &file("bb"), &written(&other, "bb", 10).await).await.unwrap();
    assert_eq!(lake.append_file(&profile(), &base, &file("aa"), &files).await.unwrap(), CommitOutcome::Conflict);
    let base = lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    // A segment in between has no say.
    close(&other, 5).await;
    let outcome = lake.append_file(&profile(), &base, &file("aa"), &files).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Committed(2));
    let base = lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    let again = lake.append_file(&profile(), &base, &file("aa"), &files).await.unwrap();
    assert_eq!(again, CommitOutcome::Conflict, "a file is ingested once");
}

#[tokio::test]
async fn what_a_vacuum_took_from_a_job_that_stood_still_is_not_committed() {
    let store = LakeStore::in_memory();
    let lake = door(&store);
    let (kept, taken) = (written(&lake, "aa", 10).await, written(&lake, "bb", 10).await);
    let days_later = DeltaLake::new(store.clone(), Arc::new(FixedClock(at_minute(3 * 24 * 60))));
    lake.discard(&profile(), LakeTable::Readings, &taken[..1]).await;
    let error = days_later.append_file(&profile(), &NOTHING, &file("bb"), &taken).await.unwrap_err();
    assert!(matches!(error, LakeError::DraftGone { missing: 1, .. }), "{error}");
    assert!(!days_later.known_file(&profile().name, "bb").await.unwrap(), "nothing of it is in");
    let outcome = days_later.append_file(&profile(), &NOTHING, &file("aa"), &kept).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Committed(0), "what is there goes in, however old");
}

#[tokio::test]
async fn a_file_without_new_rows_is_known_too() {
    let lake = door(&LakeStore::in_memory());
    lake.append_file(&profile(), &NOTHING, &file("aa"), &[]).await.unwrap();
    assert!(lake.known_file(&profile().name, "aa").await.unwrap());
}

#[tokio::test]
async fn bad_lines_of_a_file_are_kept_once() {
    let lake = door(&LakeStore::in_memory());
    let letters: Vec<_> = (0..3).map(|offset| dead_letter(&partition(0), offset)).collect();
    for _ in 0..2 {
        lake.append_file_dead_letters(&profile(), &file("aa"), &letters).await.unwrap();
    }
    let back = lake.newest_dead_letters(&profile().name, 10).await.unwrap();
    assert_eq!(back, letters.iter().rev().cloned().collect::<Vec<_>>());
    assert_eq!(lake.newest_dead_letters(&profile().name, 1).await.unwrap(), letters[2..]);
}
