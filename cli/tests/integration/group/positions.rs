//! Days on which log, lake and views do not fit together any more, and an operator mends that by the position verbs.

use std::collections::BTreeSet;

use kilowatch_shared::{position::PartitionId, views::PositionVerb};
use serde_json::Value;

use super::{
    backups::{held, lake_grows, set_back},
    cluster::Cluster,
    ledger::{Producer, ends_well},
    member::Member,
    topic::read_topic,
};
use crate::{process::wait_until, rounds::rounds};

/// Somebody with `kilowatch speed` at hand.
pub struct Operator<'a>(pub &'a Cluster);

impl Operator<'_> {
    /// What `speed status` answers.
    pub fn status(&self) -> Value {
        self.0.answer(&["speed", "status", "--stream", self.0.stream()])
    }

    /// What a verb would change; it changes nothing.
    pub fn looks_at(&self, verb: &str, partition: u32) -> String {
        let report = self.0.answer(&self.arguments(verb, &partition.to_string()));
        assert_eq!(report["done"], false, "nobody said yes: {report}");
        report["consequences"].to_string()
    }

    /// Why a verb cannot be done.
    pub fn is_refused(&self, verb: &str, partition: u32, more: &[&str]) -> String {
        let partition = partition.to_string();
        let args = [&self.arguments(verb, &partition)[..], more].concat();
        let refused = tokio::task::block_in_place(|| self.0.command(&args).output().unwrap());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        said
    }

    /// Does it. A member that looks at its stopped partition right now is in the way for a moment.
    pub async fn does(&self, verb: &str, partition: u32, more: &[&str]) {
        let partition = partition.to_string();
        let args = [&self.arguments(verb, &partition)[..], &["--yes", "--reason", "a test"], more].concat();
        wait_until("the verb is done", async || {
            let output = tokio::task::block_in_place(|| self.0.command(&args).output().unwrap());
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() || said.contains("has an owner"), "{said}");
            output.status.success()
        })
        .await;
    }

    fn arguments<'b>(&'b self, verb: &'b str, partition: &'b str) -> [&'b str; 6] {
        ["speed", verb, "--stream", self.0.stream(), "--partition", partition]
    }
}

/// Waits until each partition is stopped for one of these reasons, and nobody's.
pub async fn all_are_stopped(cluster: &Cluster, reasons: &[&str]) {
    wait_until("every partition waits for an operator", async || {
        let status = Operator(cluster).status();
        let partitions = status["partitions"].as_array().unwrap();
        partitions.iter().all(|partition| {
            let reason = partition["stop"]["reason"].as_str();
            partition["owner_seen_at"].is_null() && reason.is_some_and(|reason| reasons.contains(&reason))
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_that_passed_the_members_costs_what_it_took_and_no_more() {
    let cluster = Cluster::new(3).await;
    let producer = Producer::start(&cluster, 20);
    let operator = Operator(&cluster);
    let mut members = vec![cluster.start_member()];
    let mut gaps = 0;
    for round in 0..rounds(2, 6) {
        lake_grows(&cluster).await;
        let kept = held(&cluster).await;
        lake_grows(&cluster).await;
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
        all_are_stopped(&cluster, &["retention_passed"]).await;
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
    let cluster = Cluster::new(3).await;
    let producer = Producer::start(&cluster, 21);
    let operator = Operator(&cluster);
    let mut members = vec![cluster.start_member(), cluster.start_member()];
    for _ in 0..rounds(1, 6) {
        lake_grows(&cluster).await;
        let kept = held(&cluster).await;
        lake_grows(&cluster).await;
        cluster.run(&["batch", "rollup", "--stream", cluster.stream()]);
        let refused = operator.is_refused("rewind", 1, &["--to", "0", "--yes"]);
        assert!(refused.contains("has an owner"), "a partition was moved under its member: {refused}");
        members.drain(..).for_each(Member::kill);
        set_back(&cluster, kept.version.unwrap()).await;
        members.extend([cluster.start_member(), cluster.start_member()]);
        all_are_stopped(&cluster, &["lake_below_boundary"]).await;
        let shown = operator.looks_at("rewind", 1);
        assert!(shown.contains("all published windows go"), "{shown}");
        operator.does("rewind", 1, &[]).await;
        let stopped = |status: &Value| {
            let partitions = status["partitions"].as_array().unwrap();
            partitions.iter().filter(|partition| !partition["stop"].is_null()).count()
        };
        assert_eq!(stopped(&operator.status()), 0, "the boundary is of all partitions, and so is the rewind");
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
    let cluster = Cluster::new(3).await;
    let producer = Producer::start(&cluster, 22);
    let operator = Operator(&cluster);
    let mut members = vec![cluster.start_member()];
    wait_until("readings come through", async || cluster.applied().await > 3_000).await;
    let ledger = producer.finish().await;
    cluster.applied_everything().await;
    let first = cluster.partitions().await.remove(0);
    let of_the_first = cluster.views.anomalies_of(&first).await.unwrap();
    assert!(!of_the_first.is_empty(), "there is nothing to send again");
    let mut expected = read_topic(&cluster.log, &cluster.profile.anomalies_topic).await.len();
    for resend in [&["--to", "0"][..], &["--to", "0", "--resend"]] {
        members.drain(..).for_each(|member| tokio::task::block_in_place(|| member.stop()));
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
