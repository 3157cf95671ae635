//! A profile gains columns while members append with the one of before.

use kilowatch_shared::{
    lake::{CommitOutcome, LakeTable, SegmentLake, delta::ColumnChanges, store::LakeStore},
    stream::{StreamProfile, profile::Measure},
};

use object_store::{ObjectStoreExt as _, path::Path};

use super::{close, door};
use crate::contracts::lake::subject::{partition, profile};

fn with_measure(name: &str, unit: &str) -> StreamProfile {
    let mut wider = profile();
    wider.measures.push(Measure { name: name.to_owned(), unit: unit.to_owned(), label: name.to_owned() });
    wider
}

#[tokio::test]
async fn a_table_gains_columns_in_a_commit_of_its_own_and_members_of_before_go_on_without_them() {
    let store = LakeStore::in_memory();
    let (lake, member) = (door(&store), door(&store));
    assert_eq!(lake.expand(&profile()).await.unwrap(), None, "there is no table yet");
    assert_eq!(close(&member, 3).await, CommitOutcome::Committed(0));
    assert_eq!(lake.expand(&profile()).await.unwrap(), None);
    let mut wider = with_measure("steam", "t/h");
    wider.tags.push("fuel".to_owned());
    let changes = lake.column_changes(&wider).await.unwrap();
    assert_eq!(changes.gained, ["column `steam` (double)", "column `fuel` (string)"]);
    // The member has read its base before the columns came.
    let base = member.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    assert_eq!(lake.expand(&wider).await.unwrap(), Some(1));
    assert_eq!(lake.expand(&wider).await.unwrap(), None);
    assert_eq!(lake.column_changes(&wider).await.unwrap(), ColumnChanges::default());
    let segment = crate::contracts::lake::subject::segment(&partition(0), 3, 6);
    assert_eq!(member.append_readings(&profile(), &base, &[segment]).await.unwrap(), CommitOutcome::Committed(2));
    let table = door(&store).open_table(&profile().name, LakeTable::Readings, None).await.unwrap();
    assert!(table.schema.field_with_name("steam").unwrap().is_nullable());
    assert_eq!(table.files.iter().filter_map(|file| file.stats.rows).sum::<u64>(), 6);
    let before = lake.open_table(&profile().name, LakeTable::Readings, Some(0)).await.unwrap();
    assert!(before.schema.field_with_name("steam").is_err(), "time travel shows the columns of then");
    assert!(before.with_columns_of(&wider).schema.field_with_name("steam").unwrap().is_nullable());
}

#[tokio::test]
async fn a_column_of_another_program_is_told_apart_from_one_that_the_profile_lost_and_can_be_taken_over() {
    let store = LakeStore::in_memory();
    let lake = door(&store);
    close(&lake, 3).await;
    lake.expand(&with_measure("steam", "t/h")).await.unwrap();
    // Another program adds a column by a commit of its own.
    let log = |version: u32| Path::from(format!("meters/readings/_delta_log/{version:020}.json"));
    let commit = store.objects().get(&log(1)).await.unwrap().bytes().await.unwrap();
    let line = std::str::from_utf8(&commit).unwrap().lines().find(|line| line.contains("metaData")).unwrap();
    let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
    let mut schema: serde_json::Value =
        serde_json::from_str(line["metaData"]["schemaString"].as_str().unwrap()).unwrap();
    let theirs = serde_json::json!({"name": "tariff", "type": "double", "nullable": true, "metadata": {}});
    schema["fields"].as_array_mut().unwrap().push(theirs);
    line["metaData"]["schemaString"] = schema.to_string().into();
    store.objects().put(&log(2), line.to_string().into()).await.unwrap();

    let changes = lake.column_changes(&profile()).await.unwrap();
    assert_eq!(changes.foreign, ["column `tariff` (double)"]);
    assert!(changes.lost.len() == 1 && changes.lost[0].starts_with("column `steam`"), "{changes:?}");
    let mut both = with_measure("steam", "t/h");
    both.measures.push(Measure { name: "tariff".to_owned(), unit: "EUR".to_owned(), label: "Tariff".to_owned() });
    let changes = lake.column_changes(&both).await.unwrap();
    assert_eq!(changes.gained, ["column `tariff`, which is there, for the profile"]);
    assert_eq!(lake.expand(&both).await.unwrap(), Some(3));
    assert_eq!(lake.column_changes(&both).await.unwrap(), ColumnChanges::default());
    let changes = lake.column_changes(&with_measure("steam", "t/h")).await.unwrap();
    assert!(changes.foreign.is_empty() && changes.lost[0].starts_with("column `tariff`"), "{changes:?}");
}

#[tokio::test]
async fn what_would_change_the_meaning_of_rows_is_refused_and_what_would_lose_them_is_told() {
    let store = LakeStore::in_memory();
    let lake = door(&store);
    close(&lake, 3).await;
    lake.expand(&with_measure("steam", "")).await.unwrap();
    // A unit may come later, and not change any more.
    let changes = lake.column_changes(&with_measure("steam", "t/h")).await.unwrap();
    assert_eq!((changes.gained, changes.refused), (vec!["unit t/h of column `steam`".to_owned()], vec![]));
    lake.expand(&with_measure("steam", "t/h")).await.unwrap();
    let refused = lake.expand(&with_measure("steam", "kg/s")).await.unwrap_err().to_string();
    assert!(refused.contains("column `steam` is in t/h in the lake and in kg/s in the profile"), "{refused}");
    // A tag is no measure.
    let mut retyped = profile();
    retyped.tags.push("steam".to_owned());
    let changes = lake.column_changes(&retyped).await.unwrap();
    let reason = "column `steam` is double in the lake and string in the profile; give it another name";
    assert_eq!((changes.refused, changes.lost), (vec![reason.to_owned()], vec![]));
    assert!(lake.expand(&retyped).await.is_err());
    // Another name for it, and nothing at all.
    let renamed = lake.column_changes(&with_measure("vapour", "t/h")).await.unwrap();
    assert_eq!(renamed.gained, ["column `vapour` (double)"]);
    assert!(renamed.lost[0].contains("column `steam` is in the lake and no longer in the profile"), "{renamed:?}");
    assert!(renamed.lost[0].contains("aliases = { vapour = \"steam\" }"), "{renamed:?}");
    assert_eq!(lake.column_changes(&profile()).await.unwrap().lost.len(), 1);
    assert_eq!(lake.expand(&profile()).await.unwrap(), None, "a member of before may start again");
}
