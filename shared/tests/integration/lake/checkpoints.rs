//! A checkpoint stands for all commits below it.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use kilowatch_shared::{
    lake::{LakeError, LakeTable, SegmentLake, delta::Rewrite, store::LakeStore},
    position::DeviceId,
};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

use super::{close, door};
use crate::contracts::lake::subject::{partition, profile, span};

async fn drop_commits_below(store: &LakeStore, version: u32) {
    for gone in 0..version {
        let path = Path::from(format!("meters/readings/_delta_log/{gone:020}.json"));
        store.objects().delete(&path).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_erased_of_a_device_stays_counted_when_the_commits_are_gone() {
    let store = LakeStore::in_memory();
    let lake = door(&store);
    close(&lake, 3).await;
    let [device, other] = ["m", "m-2"].map(|name| DeviceId::parse(name).unwrap());
    for rows in [2, 3] {
        let rewrite = Rewrite::Erased { device: &device, rows };
        lake.replace_files(&profile(), LakeTable::Readings, &[], &[], rewrite).await.unwrap();
    }
    let stream = profile().name;
    lake.checkpoint(&stream, LakeTable::Readings, 1).await.unwrap();
    close(&lake, 4).await;
    drop_commits_below(&store, 3).await;
    let erased = async |device| door(&store).erased_rows(&stream, LakeTable::Readings, device).await.unwrap();
    assert_eq!((erased(&device).await, erased(&other).await), (5, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory_a_state_read_from_a_checkpoint_equals_the_one_from_its_commits() {
    a_state_read_from_a_checkpoint_equals_the_one_from_its_commits(LakeStore::in_memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_folder_a_state_read_from_a_checkpoint_equals_the_one_from_its_commits() {
    let folder = tempfile::tempdir().unwrap();
    let store = LakeStore::open(folder.path().to_str().unwrap(), &BTreeMap::new()).unwrap();
    a_state_read_from_a_checkpoint_equals_the_one_from_its_commits(store).await;
}

async fn a_state_read_from_a_checkpoint_equals_the_one_from_its_commits(store: LakeStore) {
    let lake = door(&store);
    for to in 1..=12 {
        close(&lake, to * 3).await;
    }
    let stream = profile().name;
    assert_eq!(lake.checkpoint(&stream, LakeTable::Readings, 100).await.unwrap(), None);
    assert_eq!(lake.checkpoint(&stream, LakeTable::Readings, 10).await.unwrap(), Some(11));
    assert_eq!(lake.checkpoint(&stream, LakeTable::Readings, 1).await.unwrap(), None);
    close(&lake, 40).await;
    let known = lake.open_table(&stream, LakeTable::Readings, None).await.unwrap();
    drop_commits_below(&store, 12).await;
    let fresh = door(&store);
    let read = fresh.open_table(&stream, LakeTable::Readings, None).await.unwrap();
    assert_eq!(
        (read.version, &read.closed, &read.files, &read.schema),
        (12, &known.closed, &known.files, &known.schema)
    );
    assert_eq!(fresh.read_readings(&profile(), &partition(0), span(0, 99)).await.unwrap().len(), 40);
    // What only the commits knew is gone with them, and says so.
    assert!(matches!(
        fresh.open_table(&stream, LakeTable::Readings, Some(5)).await,
        Err(LakeError::NoSuchVersion { version: 5, .. })
    ));
    assert_eq!(fresh.open_table(&stream, LakeTable::Readings, Some(11)).await.unwrap().files.len(), 12);
    assert!(fresh.files_added_between(&stream, LakeTable::Readings, 5, 12).await.unwrap().is_none());
    close(&fresh, 41).await;
    close(&lake, 42).await;
    assert_eq!(lake.read_readings(&profile(), &partition(0), span(0, 99)).await.unwrap().len(), 42);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_is_found_without_its_hint() {
    let store = LakeStore::in_memory();
    let lake = door(&store);
    close(&lake, 3).await;
    close(&lake, 6).await;
    lake.checkpoint(&profile().name, LakeTable::Readings, 1).await.unwrap();
    drop_commits_below(&store, 2).await;
    store.objects().delete(&Path::from("meters/readings/_delta_log/_last_checkpoint")).await.unwrap();
    let listed: Vec<_> = store.objects().list(None).try_collect().await.unwrap();
    assert!(listed.iter().any(|meta| meta.location.as_ref().contains(".checkpoint.")));
    let snapshot = door(&store).snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    assert_eq!(snapshot.version, Some(1));
    assert_eq!(close(&lake, 7).await, kilowatch_shared::lake::CommitOutcome::Committed(2));
}
