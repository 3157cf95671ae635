//! A topic that is deleted and made again: its offsets mean other messages.

use super::{
    ledger::{Producer, ends_well},
    operator::{Operator, under_load},
};
use crate::process::wait_until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_again_stops_its_partitions_until_an_operator_adopts_it() {
    let (mut cluster, producer) = under_load(13).await;
    let member = cluster.start_member();
    wait_until("readings come through", async || cluster.applied().await > 2_000).await;
    let first = producer.finish().await;
    cluster.applied_everything().await;
    // What the lake does not hold is lost with its topic.
    wait_until("the lake holds everything", async || cluster.closed().await == first.len() as u64).await;
    assert!(Operator(&cluster).is_refused("adopt", 0, &[]).contains("nothing to adopt"));

    cluster.make_topic_again().await;
    let producer = Producer::start(&cluster, 14);
    wait_until("the member says that it is another log", async || {
        member.problems().await.is_some_and(|problems| problems.contains("is stopped"))
    })
    .await;
    let operator = Operator(&cluster);
    operator.sees_all_stopped(&["log_too_short", "other_message"]).await;
    assert_eq!(
        cluster.applied().await,
        first.len() as u64,
        "messages of the new topic were taken for those of the old"
    );
    assert!(operator.is_refused("rewind", 0, &[]).contains("another reason"));
    let shown = operator.looks_at("adopt", 0);
    assert!(shown.contains("is read as generation 2, from its first message on"), "{shown}");
    operator.does("adopt", 0, &[]).await;
    member.stop();

    let member = cluster.start_member();
    let sent = first.len() as u64 + producer.count();
    wait_until("the readings of both topics are there", async || cluster.applied().await > sent).await;
    assert!(operator.is_refused("adopt", 1, &[]).contains("nothing to adopt"));
    let changes = operator.changes();
    assert_eq!(changes.len(), 3, "one a partition: {changes:?}");
    let second = producer.finish().await;
    ends_well(&cluster, first.and(second), vec![member]).await;
}
