//! Points in a table's history: by version, by time, and what is told where there is none.

use std::sync::Arc;

use chrono::TimeDelta;
use kilowatch_shared::{
    clock::FixedClock,
    lake::{
        AsOf, LakeError, LakeTable, SegmentLake,
        delta::{CommitAuthor, DeltaLake, FileIngest, Rewrite},
        store::LakeStore,
    },
};
use object_store::{ObjectStoreExt, path::Path};

use super::{close, door};
use crate::contracts::lake::subject::{at_minute, dead_letter, partition, profile, span};

/// A door whose clock stands at a minute.
fn door_at(store: &LakeStore, minute: u64) -> DeltaLake {
    DeltaLake::new(store.clone(), Arc::new(FixedClock(at_minute(minute))))
}

/// Versions 0, 1 and 2, committed at the minutes 0, 10 and 20, up to the offsets 5, 9 and 12.
async fn three_versions() -> (LakeStore, DeltaLake) {
    let store = LakeStore::in_memory();
    for (minute, to) in [(0, 5), (10, 9), (20, 12)] {
        close(&door_at(&store, minute), to).await;
    }
    let lake = door(&store);
    (store, lake)
}

async fn rows_as_of(lake: &DeltaLake, as_of: AsOf) -> Result<u64, LakeError> {
    let table = lake.open_table_as_of(&profile().name, LakeTable::Readings, Some(as_of)).await?;
    Ok(table.rows().unwrap())
}

#[tokio::test]
async fn an_instant_means_the_newest_version_that_was_committed_by_then() {
    let (_store, lake) = three_versions().await;
    for (minute, rows) in [(0, 5), (9, 5), (10, 9), (19, 9), (20, 12), (10_000, 12)] {
        assert_eq!(rows_as_of(&lake, AsOf::Time(at_minute(minute))).await.unwrap(), rows, "minute {minute}");
    }
    let error = rows_as_of(&lake, AsOf::Time(at_minute(0) - TimeDelta::seconds(1))).await.unwrap_err();
    assert!(
        matches!(error, LakeError::NoVersionAt { oldest: 0, oldest_at, .. } if oldest_at == at_minute(0)),
        "{error}"
    );
}

#[tokio::test]
async fn a_version_out_of_reach_is_told_how_far_the_log_reaches() {
    let (_store, lake) = three_versions().await;
    assert_eq!(rows_as_of(&lake, AsOf::Version(1)).await.unwrap(), 9);
    let error = rows_as_of(&lake, AsOf::Version(3)).await.unwrap_err();
    assert!(matches!(error, LakeError::OutOfReach { version: 3, oldest: 0, newest: 2, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cleaned_up_below_a_checkpoint_is_out_of_reach() {
    let (store, lake) = three_versions().await;
    lake.checkpoint(&profile().name, LakeTable::Readings, 1).await.unwrap();
    close(&door_at(&store, 30), 15).await;
    for gone in 0..2 {
        let path = Path::from(format!("meters/readings/_delta_log/{gone:020}.json"));
        store.objects().delete(&path).await.unwrap();
    }
    let lake = door(&store);
    let error = rows_as_of(&lake, AsOf::Version(1)).await.unwrap_err();
    assert!(matches!(error, LakeError::OutOfReach { version: 1, oldest: 2, newest: 3, .. }), "{error}");
    assert_eq!(rows_as_of(&lake, AsOf::Time(at_minute(25))).await.unwrap(), 12);
    let error = rows_as_of(&lake, AsOf::Time(at_minute(15))).await.unwrap_err();
    assert!(matches!(error, LakeError::NoVersionAt { oldest: 2, .. }), "{error}");
    let told = lake.versions(&profile().name, LakeTable::Readings, None, 10).await.unwrap();
    assert_eq!(told.iter().map(|version| version.version).collect::<Vec<_>>(), [3, 2]);
}

#[tokio::test]
async fn a_version_whose_files_were_deleted_is_forgotten_and_not_half_read() {
    let (store, lake) = three_versions().await;
    let old = lake.open_table(&profile().name, LakeTable::Readings, Some(1)).await.unwrap();
    lake.replace_files(&profile(), LakeTable::Readings, &old.files, &[], Rewrite::Marked).await.unwrap();
    assert_eq!(rows_as_of(&lake, AsOf::Version(1)).await.unwrap(), 9);
    store.objects().delete(&old.location(&old.files[0])).await.unwrap();
    let error = rows_as_of(&lake, AsOf::Version(1)).await.unwrap_err();
    assert!(matches!(error, LakeError::Vacuumed { version: 1, missing: 1, .. }), "{error}");
    assert_eq!(rows_as_of(&lake, AsOf::Version(3)).await.unwrap(), 3);
}

#[tokio::test]
async fn every_version_says_what_it_did_and_who_did_it() {
    let (store, lake) = three_versions().await;
    let stream = profile().name;
    let counts = [("identical".to_owned(), 4)].into();
    let file = FileIngest { sha256: "ab".repeat(32), name: "history.csv".to_owned(), counts };
    let base = lake.snapshot(&stream, LakeTable::Readings).await.unwrap();
    lake.append_file(&profile(), &base, &file, &[]).await.unwrap();
    let old = lake.open_table(&stream, LakeTable::Readings, Some(0)).await.unwrap();
    lake.replace_files(&profile(), LakeTable::Readings, &old.files, &[], Rewrite::Marked).await.unwrap();
    let foreign = Path::from(format!("meters/readings/_delta_log/{:020}.json", 5));
    let line = r#"{"commitInfo":{"timestamp":1,"operation":"WRITE","engineInfo":"other 1.0"}}"#;
    store.objects().put(&foreign, line.into()).await.unwrap();

    let versions = lake.versions(&stream, LakeTable::Readings, None, 100).await.unwrap();
    assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), [5, 4, 3, 2, 1, 0]);
    let [other, update, ingest, third, ..] = versions.as_slice() else { panic!("{versions:?}") };
    assert_eq!(other.by, CommitAuthor::Other { engine: Some("other 1.0".to_owned()) });
    assert_eq!((update.operation.as_str(), &update.by), ("UPDATE", &CommitAuthor::Job));
    assert_eq!((update.files_removed, update.rows_removed, update.rows_added), (1, Some(5), Some(0)));
    let CommitAuthor::File { name, counts, .. } = &ingest.by else { panic!("{ingest:?}") };
    assert_eq!((name.as_str(), counts["identical"]), ("history.csv", 4));
    let CommitAuthor::Segments { segments } = &third.by else { panic!("{third:?}") };
    assert_eq!((segments[0].span, third.rows_added, third.at), (span(9, 12), Some(3), at_minute(20)));
    let page = lake.versions(&stream, LakeTable::Readings, Some(5), 1).await.unwrap();
    assert_eq!(page, std::slice::from_ref(update));
}

#[tokio::test]
async fn the_lake_lists_its_tables_whatever_else_is_beside_them() {
    let (store, lake) = three_versions().await;
    for other in ["models/abc/model.bin", "README.md", "Not a stream/x", "notes/readings/a.parquet"] {
        store.objects().put(&Path::from(other), "x".into()).await.unwrap();
    }
    let file = FileIngest { sha256: "cd".repeat(32), name: "a.csv".to_owned(), counts: [].into() };
    lake.append_file_dead_letters(&profile(), &file, &[dead_letter(&partition(0), 3)]).await.unwrap();
    let names: Vec<String> = lake.stored_tables().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["meters.readings", "meters.dead_letters"]);
    let error = lake.unknown_table("meter.readings").await.to_string();
    assert!(error.contains("`meter.readings`; it has meters.readings, meters.dead_letters"), "{error}");
    let nothing = door(&LakeStore::in_memory()).unknown_table("x").await.to_string();
    assert!(nothing.contains("none yet"), "{nothing}");
}
