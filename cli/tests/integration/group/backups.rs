//! Stores that come back from a backup: older views, an older lake.

use std::{path::Path, process::Command};

use kilowatch_shared::lake::{
    LakeSnapshot, LakeTable, SegmentLake,
    paths::{commit_file, table_folder},
};
use object_store::ObjectStoreExt;
use sqlx::AssertSqlSafe;

use super::{
    ASSIGNED,
    cluster::{Cluster, succeeds},
    ledger::{Producer, ends_well},
    member::Member,
    trials::{Trial, trials},
};
use crate::process::wait_until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_from_an_older_backup_catch_up_with_the_lake() {
    for trial in trials("campus", (1, 10), &[2]) {
        views_are_restored(&trial).await;
    }
}

async fn views_are_restored(trial: &Trial) {
    let cluster = trial.cluster().await;
    let producer = Producer::start(&cluster, 9);
    let backup = cluster.folder().join("views.dump");
    let mut members = cluster.start_members(2);
    for _ in 0..trial.rounds {
        lake_grows(&cluster).await;
        cluster.run(&["batch", "rollup", "--stream", cluster.stream()]);
        back_up_views(&cluster, &backup);
        let backed_up = cluster.applied_offsets().await;
        wait_until("the lake is ahead of the backup in each partition", async || {
            let held = held(&cluster).await;
            backed_up.iter().all(|(partition, applied)| held.closed_to(partition) > Some(*applied))
        })
        .await;
        // What batch published since goes back with the rest.
        cluster.run(&["batch", "rollup", "--stream", cluster.stream()]);
        // One member sleeps over it, and remembers what the views do not.
        let zombie = members.remove(0);
        zombie.pause();
        members.drain(..).for_each(Member::kill);
        restore_views(&cluster, &backup).await;
        members.extend(cluster.start_members(2));
        let sent = producer.count();
        wait_until("the others have caught up", async || cluster.applied().await > sent).await;
        let assigned = zombie.said(ASSIGNED);
        zombie.resume();
        wait_until("the zombie is a member again", async || zombie.said(ASSIGNED) > assigned).await;
        members.push(zombie);
    }
    let ledger = producer.finish().await;
    ends_well(&cluster, ledger, members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_from_an_older_backup_gets_what_it_lost_from_the_log_again() {
    for trial in trials("power-plant", (1, 10), &[2]) {
        lake_is_set_back(&trial).await;
    }
}

async fn lake_is_set_back(trial: &Trial) {
    let cluster = trial.cluster().await;
    let producer = Producer::start(&cluster, 10);
    let mut members = cluster.start_members(2);
    for _ in 0..trial.rounds {
        let kept = older_lake(&cluster).await;
        members.drain(..).for_each(Member::kill);
        set_back(&cluster, kept.version.unwrap()).await;
        assert_eq!(held(&cluster).await, kept, "the lake did not go back");
        members.extend(cluster.start_members(2));
        let sent = producer.count();
        wait_until("the lake has caught up", async || cluster.closed().await > sent).await;
    }
    let ledger = producer.finish().await;
    ends_well(&cluster, ledger, members).await;
}

/// What the lake held some time ago: it has grown before that, and since.
pub async fn older_lake(cluster: &Cluster) -> LakeSnapshot {
    lake_grows(cluster).await;
    let older = held(cluster).await;
    lake_grows(cluster).await;
    older
}

/// Some seconds' worth.
async fn lake_grows(cluster: &Cluster) {
    let held = cluster.closed().await;
    wait_until("the lake grows", async || cluster.closed().await > held + 2_000).await;
}

fn back_up_views(cluster: &Cluster, file: &Path) {
    let mut dump = Command::new("pg_dump");
    dump.args(["--format=custom", "--schema", &cluster.schema(), "--file"]).arg(file).arg(cluster.database_url());
    succeeds(&mut dump);
}

async fn restore_views(cluster: &Cluster, file: &Path) {
    let drop = format!("DROP SCHEMA {} CASCADE", cluster.schema());
    sqlx::query(AssertSqlSafe(drop)).execute(&mut cluster.database().await).await.unwrap();
    let mut restore = Command::new("pg_restore");
    restore.args(["--exit-on-error", "--single-transaction", "--dbname", cluster.database_url()]).arg(file);
    succeeds(&mut restore);
}

/// What the lake holds.
pub async fn held(cluster: &Cluster) -> LakeSnapshot {
    cluster.lake.snapshot(&cluster.profile.name, LakeTable::Readings).await.unwrap()
}

/// Takes the commits above this version away, as an older copy of the bucket would not have them.
pub async fn set_back(cluster: &Cluster, version: i64) {
    let newest = held(cluster).await.version.unwrap();
    let folder = table_folder(&cluster.profile.name, LakeTable::Readings);
    for version in (version + 1..=newest).rev() {
        cluster.lake.store().objects().delete(&commit_file(&folder, version)).await.unwrap();
    }
}
