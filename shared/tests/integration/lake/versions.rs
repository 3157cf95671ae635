//! Older versions, and what changed since.

use std::sync::Arc;

use kilowatch_shared::{
    lake::{
        CommitOutcome, LakeError, LakeTable, SegmentLake, delta::Rewrite, files::encode_file, schema, store::LakeStore,
    },
    position::Offset,
};

use super::{close, door};
use crate::contracts::lake::subject::{partition, profile, row, span};

#[tokio::test]
async fn an_older_version_stays_as_it_was() {
    let lake = door(&LakeStore::in_memory());
    for to in [5, 9, 12] {
        close(&lake, to).await;
    }
    let stream = profile().name;
    for (version, closed) in [(0, 5), (1, 9), (2, 12)] {
        let table = lake.open_table(&stream, LakeTable::Readings, Some(version)).await.unwrap();
        assert_eq!(table.closed.get(&(&partition(0)).into()), Some(&Offset::new(closed)));
        assert_eq!(table.files.iter().filter_map(|file| file.stats.rows).sum::<u64>(), closed);
    }
    for version in [-1, 3] {
        let error = lake.open_table(&stream, LakeTable::Readings, Some(version)).await.unwrap_err();
        assert!(matches!(error, LakeError::NoSuchVersion { .. }), "{error}");
    }
    let error = lake.open_table(&stream, LakeTable::DeadLetters, None).await.unwrap_err();
    assert!(matches!(error, LakeError::NoSuchTable { .. }), "{error}");
}

#[tokio::test]
async fn changes_between_versions_are_the_rows_that_came_and_went() {
    let lake = door(&LakeStore::in_memory());
    let stream = profile().name;
    for to in [5, 9, 12] {
        close(&lake, to).await;
    }
    let changes = async |from, to| lake.files_added_between(&stream, LakeTable::Readings, from, to).await.unwrap();
    let rows = |changes: kilowatch_shared::lake::delta::FileChanges| -> u64 {
        changes.added.iter().filter_map(|file| file.stats.rows).sum()
    };
    assert_eq!(rows(changes(-1, 2).await.unwrap()), 12);
    assert_eq!(rows(changes(0, 2).await.unwrap()), 7);
    assert_eq!(rows(changes(2, 2).await.unwrap()), 0);

    // Merging the first two files changes no row.
    let table = lake.open_table(&stream, LakeTable::Readings, Some(1)).await.unwrap();
    let rows_of = |from: u64, to: u64| {
        let rows: Vec<_> = (from..to).map(|offset| row(&partition(0), offset)).collect();
        let batch = schema::readings_to_batch(&profile(), &rows.iter().collect::<Vec<_>>()).unwrap();
        let columns = schema::readings_schema(&profile());
        encode_file(&columns, "2007-01-01".parse().unwrap(), &[batch]).unwrap()
    };
    let merged = lake.put_file(&profile(), LakeTable::Readings, rows_of(0, 9)).await.unwrap();
    let replace = async |new: &[_], rewrite| {
        lake.replace_files(&profile(), LakeTable::Readings, &table.files, new, rewrite).await.unwrap()
    };
    assert_eq!(replace(std::slice::from_ref(&merged), Rewrite::Merged).await, CommitOutcome::Committed(3));
    assert_eq!(replace(&[merged], Rewrite::Merged).await, CommitOutcome::Conflict);
    assert_eq!(lake.read_readings(&profile(), &partition(0), span(0, 99)).await.unwrap().len(), 12);
    assert_eq!(rows(changes(2, 3).await.unwrap()), 0);
    assert_eq!(rows(changes(1, 3).await.unwrap()), 3);
    let merged_since = changes(0, 3).await.unwrap();
    assert_eq!(merged_since.holders.len(), 2, "the merged file and the one that was left alone");
    assert_eq!(rows(merged_since), 7, "new rows are told from the old ones that they were merged with");

    // Rewriting rows does.
    let newest = lake.open_table(&stream, LakeTable::Readings, None).await.unwrap();
    let old: Vec<_> = newest.files.iter().filter(|file| file.stats.rows == Some(3)).map(Arc::clone).collect();
    let fewer = lake.put_file(&profile(), LakeTable::Readings, rows_of(9, 11)).await.unwrap();
    lake.replace_files(&profile(), LakeTable::Readings, &old, &[fewer], Rewrite::Marked).await.unwrap();
    let changed = changes(3, 4).await.unwrap();
    assert_eq!(changed.removed.len(), 1);
    assert_eq!(changed.removed[0].bucket, Some("2007-01-01".parse().unwrap()));
    assert_eq!(rows(changed), 2);
}
