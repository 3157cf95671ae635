//! Days on which log, lake and views do not fit together any more, and an operator mends that by the position verbs.

use std::collections::BTreeSet;

use kilowatch_shared::{position::PartitionId, views::PositionVerb};

use super::{
    backups::{held, older_lake, set_back},
    ledger::ends_well,
    member::Member,
    operator::{Operator, under_load},
    topic::read_topic,
};
use crate::{process::wait_until, rounds::rounds};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_that_passed_the_members_costs_what_it_took_and_no_more() {
    let (cluster, producer) = under_load(20).await;
    let operator = Operator(&cluster);
    let mut members = cluster.start_members(1);
    let mut gaps = 0;
    for round in 0..rounds(2, 6) {
        let kept = older_lake(&cluster).await;
        members.drain(..).for_each(Member::kill);
        // Every second time the lake has lost the same as the log, and more than nobody had applied.
        if round % 2 == 1 {
            set_back(&cluster, kept.version.unwrap()).await;
        }
        let sent = producer.count();
        wait_until("messages come that nobody reads", async || producer.count() > sent + 1_000).await;
        let held = held(&cluster).await;
        let begins = cluster.expire_everything().await;
        members.push(cluster.start_member());
        operator.sees_all_stopped(&["retention_passed"]).await;
        let sent = producer.count();
        for (partition, low) in &begins {
            let lost = format!("the messages of [{}, {low}) are lost", held.closed_to(partition).unwrap());
            let shown = operator.looks_at("skip", partition.partition);
            assert!(shown.contains(&lost), "{shown}");
            operator.does("skip", partition.partition, &[]).await;
        }
        gaps += begins.len();
        wait_until("the member goes on by itself", async || cluster.applied().await > sent).await;
        assert!(operator.is_refused("skip", 0, &[]).contains("nothing to skip"));
    }
    let mut ledger = producer.finish().await;
    let changes = cluster.views.position_changes(&cluster.profile.name, 100).await.unwrap();
    assert_eq!(changes.len(), gaps);
    for change in changes {
        assert_eq!((change.verb, change.audit.reason.as_str()), (PositionVerb::Skip, "a test"));
        assert!(ledger.lose(&change.partition, change.moved.gap.unwrap()) > 100, "{change:?}");
    }
    ends_well(&cluster, ledger, members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_older_than_what_batch_published_is_filled_from_the_log_after_a_rewind() {
    let (cluster, producer) = under_load(21).await;
    let operator = Operator(&cluster);
    let mut members = cluster.start_members(2);
    for _ in 0..rounds(1, 6) {
        let kept = older_lake(&cluster).await;
        cluster.run(&["batch", "rollup", "--stream", cluster.stream()]);
        let refused = operator.is_refused("rewind", 1, &["--to", "0", "--yes"]);
        assert!(refused.contains("has an owner"), "a partition was moved under its member: {refused}");
        members.drain(..).for_each(Member::kill);
        set_back(&cluster, kept.version.unwrap()).await;
        members.extend(cluster.start_members(2));
        operator.sees_all_stopped(&["lake_below_boundary"]).await;
        let shown = operator.looks_at("rewind", 1);
        assert!(shown.contains("all published windows go"), "{shown}");
        operator.does("rewind", 1, &[]).await;
        assert_eq!(operator.stopped(), 0, "the boundary is of all partitions, and so is the rewind");
        let sent = producer.count();
        wait_until("the lake has caught up", async || cluster.closed().await > sent).await;
        cluster.run(&["batch", "rollup", "--stream", cluster.stream()]);
    }
    let ledger = producer.finish().await;
    let changed: BTreeSet<PartitionId> = cluster
        .views
        .position_changes(&cluster.profile.name, 100)
        .await
        .unwrap()
        .into_iter()
        .map(|change| change.partition)
        .collect();
    assert_eq!(changed.len(), 3);
    ends_well(&cluster, ledger, members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewind_judges_again_and_sends_nothing_again_unless_it_is_asked_to() {
    let (cluster, producer) = under_load(22).await;
    let operator = Operator(&cluster);
    let mut members = cluster.start_members(1);
    wait_until("readings come through", async || cluster.applied().await > 3_000).await;
    let ledger = producer.finish().await;
    cluster.applied_everything().await;
    let first = cluster.partitions().await.remove(0);
    let of_the_first = cluster.views.anomalies_of(&first).await.unwrap();
    assert!(!of_the_first.is_empty(), "there is nothing to send again");
    let mut expected = read_topic(&cluster.log, &cluster.profile.anomalies_topic).await.len();
    for resend in [&["--to", "0"][..], &["--to", "0", "--resend"]] {
        members.drain(..).for_each(|member| drop(member.stop()));
        operator.does("rewind", first.partition, resend).await;
        assert_eq!(cluster.views.anomalies_of(&first).await.unwrap(), [], "what is judged again has to go first");
        members.push(cluster.start_member());
        cluster.applied_everything().await;
        assert_eq!(cluster.views.anomalies_of(&first).await.unwrap(), of_the_first);
        expected += if resend.contains(&"--resend") { of_the_first.len() } else { 0 };
        assert_eq!(read_topic(&cluster.log, &cluster.profile.anomalies_topic).await.len(), expected, "{resend:?}");
    }
    ends_well(&cluster, ledger, members).await;
}
