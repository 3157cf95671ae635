//! Tables that other programs wrote to, or that were set back.

use std::collections::BTreeMap;

use kilowatch_shared::{
    lake::{CommitOutcome, LakeError, LakeTable, SegmentLake, store::LakeStore},
    position::Offset,
    stream::profile::Measure,
};
use object_store::{ObjectStoreExt, path::Path};

use super::{close, door};
use crate::contracts::lake::subject::{partition, profile, segment, segment_with, span};

/// Puts a commit of another program.
async fn put_commit(store: &LakeStore, version: u32, lines: &[&str]) {
    let path = Path::from(format!("meters/readings/_delta_log/{version:020}.json"));
    store.objects().put(&path, lines.join("\n").into()).await.unwrap();
}

#[tokio::test]
async fn after_a_foreign_restore_the_door_stops_and_says_so() {
    let store = LakeStore::in_memory();
    let lake = door(&store);
    close(&lake, 5).await;
    let base = lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    put_commit(&store, 1, &[r#"{"commitInfo":{"timestamp":1,"operation":"RESTORE","engineInfo":"other"}}"#]).await;
    for seen in [&lake, &door(&store)] {
        let error = seen.snapshot(&profile().name, LakeTable::Readings).await.unwrap_err();
        assert!(matches!(error, LakeError::ForeignRestore { version: 1, .. }), "{error}");
        let error = seen.append_readings(&profile(), &base, &[segment(&partition(0), 5, 6)]).await.unwrap_err();
        assert!(matches!(error, LakeError::ForeignRestore { version: 1, .. }), "{error}");
    }
}

#[tokio::test]
async fn a_table_that_needs_a_newer_program_is_neither_read_nor_written() {
    for (protocol, reads) in [
        (
            r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors"]}}"#,
            false,
        ),
        (r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":4}}"#, true),
    ] {
        let store = LakeStore::in_memory();
        let lake = door(&store);
        close(&lake, 5).await;
        put_commit(&store, 1, &[protocol]).await;
        let seen = lake.snapshot(&profile().name, LakeTable::Readings).await;
        assert_eq!(seen.is_ok(), reads);
        let base = kilowatch_shared::lake::LakeSnapshot {
            version: Some(1),
            closed: [((&partition(0)).into(), Offset::new(5))].into(),
        };
        let error = lake.append_readings(&profile(), &base, &[segment(&partition(0), 5, 6)]).await.unwrap_err();
        assert!(matches!(error, LakeError::TooNew { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_foreign_append_is_read_and_does_not_move_l() {
    let store = LakeStore::in_memory();
    let lake = door(&store);
    close(&lake, 5).await;
    put_commit(
        &store,
        1,
        &[
            r#"{"commitInfo":{"timestamp":1,"operation":"WRITE"}}"#,
            r#"{"unknownAction":{"x":[1,2]}}"#,
            r#"{"txn":{"appId":"meters/kafka:meters#1","version":77}}"#,
            r#"{"add":{"path":"bucket=2007-01-01/a%20b.parquet","partitionValues":{"bucket":"2007-01-01"},"size":1,"modificationTime":1,"dataChange":true,"stats":null,"tags":null,"baseRowId":null}}"#,
        ],
    )
    .await;
    let table = lake.open_table(&profile().name, LakeTable::Readings, None).await.unwrap();
    assert_eq!(table.closed, BTreeMap::from([((&partition(0)).into(), Offset::new(5))]));
    let file = table.files.iter().find(|file| file.path.filename() == Some("a b.parquet")).unwrap();
    assert_eq!(file.stats.rows, None);
}

#[tokio::test]
async fn a_lake_that_was_set_back_to_a_backup_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = LakeStore::open(folder.path().to_str().unwrap(), &BTreeMap::new()).unwrap();
    let lake = door(&store);
    close(&lake, 5).await;
    close(&lake, 9).await;
    std::fs::remove_file(folder.path().join("meters/readings/_delta_log/00000000000000000001.json")).unwrap();
    let snapshot = lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    assert_eq!((snapshot.version, snapshot.closed_to(&partition(0))), (Some(0), Some(Offset::new(5))));
    // Version 1 comes again, with another content.
    let another = door(&store);
    close(&lake, 9).await;
    std::fs::remove_file(folder.path().join("meters/readings/_delta_log/00000000000000000001.json")).unwrap();
    close(&another, 7).await;
    let snapshot = lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    assert_eq!((snapshot.version, snapshot.closed_to(&partition(0))), (Some(1), Some(Offset::new(7))));
    assert_eq!(lake.read_readings(&profile(), &partition(0), span(0, 99)).await.unwrap().len(), 7);
}

#[tokio::test]
async fn a_profile_with_a_further_measure_widens_the_table() {
    let store = LakeStore::in_memory();
    let lake = door(&store);
    close(&lake, 5).await;
    let mut wider = profile();
    wider.measures.push(Measure { name: "frequency".into(), unit: "Hz".into(), label: "Frequency".into() });
    let closed = segment_with(&partition(0), 5, 6, |row| row.reading.measures.push(Some(50.0)));
    let base = lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    let outcome = lake.append_readings(&wider, &base, &[closed]).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Committed(1));
    let rows = door(&store).read_readings(&wider, &partition(0), span(4, 6)).await.unwrap();
    assert_eq!(rows[0].reading.measures.last(), Some(&None));
    assert_eq!(rows[1].reading.measures.last(), Some(&Some(50.0)));
    // A commit of the old profile leaves the column as it is.
    assert_eq!(close(&lake, 7).await, CommitOutcome::Committed(2));
    let table = lake.open_table(&profile().name, LakeTable::Readings, None).await.unwrap();
    assert!(table.schema.field_with_name("frequency").unwrap().is_nullable());
}

#[tokio::test]
async fn a_column_never_changes_its_type() {
    let lake = door(&LakeStore::in_memory());
    close(&lake, 5).await;
    let mut turned = profile();
    turned.tags = vec!["voltage".into()];
    turned.measures.truncate(1);
    let closed = segment_with(&partition(0), 5, 6, |row| row.reading.measures.truncate(1));
    let base = lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    let error = lake.append_readings(&turned, &base, &[closed]).await.unwrap_err();
    assert!(matches!(&error, LakeError::Refused { reason } if reason.contains("`voltage`")), "{error}");
}
