//! Data files that leave their table by the age of their rows.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use kilowatch_shared::{
    checkpoint::SourcePartition,
    lake::{
        CommitOutcome, LakeError, LakeTable, SavedState, SegmentLake,
        delta::{DeltaLake, ExpiredFiles, TableFiles},
        store::LakeStore,
    },
    position::Offset,
};

use super::{close, door};
use crate::contracts::lake::subject::{partition, profile, span};

const READINGS: LakeTable = LakeTable::Readings;

async fn newest(lake: &DeltaLake) -> TableFiles {
    lake.open_table(&profile().name, READINGS, None).await.unwrap()
}

fn day(text: &str) -> DateTime<Utc> {
    format!("{text}T00:00:00Z").parse().unwrap()
}

/// The files whose offsets lie below one, to leave before a day.
fn below(table: &TableFiles, offset: i64, floor: &str, replay_from: u64) -> ExpiredFiles {
    let of_below = |last: Option<(i64, i64)>| last.is_some_and(|(_, last)| last < offset);
    ExpiredFiles {
        files: table.files.iter().filter(|file| of_below(file.stats.source_offset)).map(Arc::clone).collect(),
        floor: day(floor),
        replay_from: [(SourcePartition::from(&partition(0)), Offset::new(replay_from))].into(),
    }
}

#[tokio::test]
async fn what_left_is_in_older_versions_and_no_replay_begins_in_the_hole() {
    let store = LakeStore::in_memory();
    let lake = door(&store);
    for to in [5, 9, 12] {
        close(&lake, to).await;
    }
    let stream = profile().name;
    let expired = below(&newest(&lake).await, 9, "2007-02-01", 9);
    assert_eq!(expired.files.len(), 2);
    assert_eq!(lake.expire_files(&stream, READINGS, &expired).await.unwrap(), CommitOutcome::Committed(3));
    assert_eq!(lake.expire_files(&stream, READINGS, &expired).await.unwrap(), CommitOutcome::Conflict, "they are gone");

    let table = newest(&lake).await;
    assert_eq!((table.rows(), table.floor), (Some(3), Some(day("2007-02-01"))));
    let key = SourcePartition::from(&partition(0));
    assert_eq!((table.closed.get(&key), table.replay_from.get(&key)), (Some(&Offset::new(12)), Some(&Offset::new(9))));
    let read = async |from, to| lake.read_readings(&profile(), &partition(0), span(from, to)).await;
    assert_eq!(read(9, 12).await.unwrap().len(), 3);
    let hole = read(8, 12).await.unwrap_err();
    assert!(matches!(hole, LakeError::Expired { first, .. } if first == Offset::new(9)), "{hole}");
    assert!(read(3, 3).await.unwrap().is_empty(), "nothing is missing of nothing");
    assert!(lake.read_readings(&profile(), &partition(1), span(0, 9)).await.unwrap().is_empty());
    let before = lake.open_table(&stream, READINGS, Some(2)).await.unwrap();
    assert_eq!((before.rows(), before.floor, before.replay_from.len()), (Some(12), None, 0));

    // Also a checkpoint tells, and floors never fall.
    close(&lake, 15).await;
    let lower = below(&newest(&lake).await, 12, "2007-01-01", 4);
    assert_eq!(lake.expire_files(&stream, READINGS, &lower).await.unwrap(), CommitOutcome::Committed(5));
    lake.checkpoint(&stream, READINGS, 1).await.unwrap();
    let table = newest(&door(&store)).await;
    assert_eq!((table.rows(), table.floor), (Some(3), Some(day("2007-02-01"))));
    assert_eq!(table.replay_from.get(&key), Some(&Offset::new(9)));
}

#[tokio::test]
async fn the_state_at_which_replays_begin_is_needed_however_old() {
    let lake = door(&LakeStore::in_memory());
    for to in [5, 9, 12] {
        close(&lake, to).await;
        let state = SavedState { offset: Offset::new(to), cuts: Vec::new(), state: Bytes::from_static(b"state") };
        lake.save_state(&partition(0), &state).await.unwrap();
    }
    let stale = async || lake.stale_states(&profile().name, 1, DateTime::<Utc>::MAX_UTC).await.unwrap().len();
    assert_eq!(stale().await, 2);
    let expired = below(&newest(&lake).await, 5, "2007-02-01", 5);
    lake.expire_files(&profile().name, READINGS, &expired).await.unwrap();
    assert_eq!(stale().await, 1);
}
