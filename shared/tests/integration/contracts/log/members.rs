//! What every group of readers promises: each partition has one reader at a time, and none is left alone.

use std::{collections::BTreeSet, time::Duration};

use kilowatch_shared::{
    checkpoint::SourcePartition,
    log::{Change, Membership, Release},
};

use super::subject::{LONG, Subject};

/// Long enough to catch a log that does not wait; one that waits is never wronged by it.
const MOMENT: Duration = Duration::from_millis(300);

type Partitions = BTreeSet<SourcePartition>;
type Member = Box<dyn Membership>;

pub async fn a_lone_member_gets_every_partition(subject: &Subject) {
    let all: Partitions = subject.topic("energy", 3).await.into_iter().collect();
    let mut member = subject.log.join("readers", "energy").await.unwrap();
    assert_eq!(gather(&mut member, 3).await, all);
}

pub async fn a_member_that_nothing_is_left_for_is_told_so(subject: &Subject) {
    subject.partition("energy").await;
    let mut first = subject.log.join("readers", "energy").await.unwrap();
    gather(&mut first, 1).await;
    let mut second = subject.log.join("readers", "energy").await.unwrap();
    let change = tokio::time::timeout(LONG, second.next()).await.expect("the group says nothing").unwrap();
    assert!(matches!(&change, Change::Assigned(nothing) if nothing.is_empty()), "{change:?}");
}

pub async fn a_partition_goes_to_the_next_member_only_after_its_release(subject: &Subject) {
    let all: Partitions = subject.topic("energy", 4).await.into_iter().collect();
    let mut first = subject.log.join("readers", "energy").await.unwrap();
    gather(&mut first, 4).await;
    let mut second = subject.log.join("readers", "energy").await.unwrap();
    let (moving, release) = revoked(&mut first).await;
    assert_eq!(moving.len(), 2, "a half of the partitions moves, and no more");
    let early = tokio::time::timeout(MOMENT, next(&mut second)).await;
    assert!(early.is_err(), "a partition was given away before it was released: {early:?}");
    drop(release);
    assert_eq!(gather(&mut second, 2).await, moving);
    assert!(moving.is_subset(&all));
}

pub async fn the_partitions_of_a_member_that_leaves_go_to_the_others(subject: &Subject) {
    let all: Partitions = subject.topic("energy", 2).await.into_iter().collect();
    let mut first = subject.log.join("readers", "energy").await.unwrap();
    gather(&mut first, 2).await;
    let mut second = subject.log.join("readers", "energy").await.unwrap();
    let (moving, release) = revoked(&mut first).await;
    drop(release);
    gather(&mut second, 1).await;
    first.leave().await;
    let taken_over = gather(&mut second, 1).await;
    assert_eq!(&taken_over | &moving, all);
}

pub async fn a_member_that_is_dropped_has_left(subject: &Subject) {
    let all: Partitions = subject.topic("energy", 2).await.into_iter().collect();
    let mut first = subject.log.join("readers", "energy").await.unwrap();
    gather(&mut first, 2).await;
    drop(first);
    let mut second = subject.log.join("readers", "energy").await.unwrap();
    assert_eq!(gather(&mut second, 2).await, all);
}

pub async fn two_groups_do_not_take_from_each_other(subject: &Subject) {
    let all: Partitions = subject.topic("energy", 2).await.into_iter().collect();
    let mut ours = subject.log.join("ours", "energy").await.unwrap();
    let mut theirs = subject.log.join("theirs", "energy").await.unwrap();
    assert_eq!(gather(&mut ours, 2).await, all);
    assert_eq!(gather(&mut theirs, 2).await, all);
}

pub async fn a_cancelled_wait_loses_no_change(subject: &Subject) {
    let all: Partitions = subject.topic("energy", 3).await.into_iter().collect();
    let mut member = subject.log.join("readers", "energy").await.unwrap();
    let mut got = Partitions::new();
    let gathered = async {
        while got.len() < 3 {
            // Mostly too short for a group to answer.
            if let Ok(change) = tokio::time::timeout(Duration::from_millis(1), member.next()).await {
                match change.unwrap() {
                    Change::Assigned(partitions) => got.extend(partitions),
                    other => panic!("{other:?}"),
                }
            }
        }
    };
    tokio::time::timeout(LONG, gathered).await.expect("a change was lost");
    assert_eq!(got, all);
}

/// Waits until that many partitions were assigned.
pub async fn gather(member: &mut Member, count: usize) -> Partitions {
    let mut got = Partitions::new();
    while got.len() < count {
        match tokio::time::timeout(LONG, next(member)).await.expect("partitions are left alone") {
            Change::Assigned(partitions) => got.extend(partitions),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got.len(), count, "{got:?}");
    got
}

/// The next change that concerns a partition.
async fn next(member: &mut Member) -> Change {
    loop {
        match member.next().await.unwrap() {
            Change::Assigned(nothing) if nothing.is_empty() => {}
            change => return change,
        }
    }
}

async fn revoked(member: &mut Member) -> (Partitions, Release) {
    match tokio::time::timeout(LONG, next(member)).await.expect("nothing is revoked") {
        Change::Revoked { partitions, release } => (partitions.into_iter().collect(), release),
        other => panic!("{other:?}"),
    }
}
