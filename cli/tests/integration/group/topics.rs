//! A topic that is deleted and made again: its offsets mean other messages.

use super::{
    cluster::Cluster,
    ledger::{Producer, ends_well},
};
use crate::process::wait_until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_again_stops_its_partitions_until_the_generation_is_raised() {
    let mut cluster = Cluster::new(3).await;
    let producer = Producer::start(&cluster, 13);
    let member = cluster.start_member();
    wait_until("readings come through", async || cluster.applied().await > 2_000).await;
    let first = producer.finish().await;
    cluster.applied_everything().await;
    // What the lake does not hold is lost with its topic.
    wait_until("the lake holds everything", async || cluster.closed().await == first.len() as u64).await;

    cluster.make_topic_again().await;
    let producer = Producer::start(&cluster, 14);
    wait_until("the member says that it is another log", async || {
        member.problems().await.is_some_and(|problems| problems.contains("is stopped"))
    })
    .await;
    assert_eq!(
        cluster.applied().await,
        first.len() as u64,
        "messages of the new topic were taken for those of the old"
    );
    tokio::task::block_in_place(|| member.stop());

    cluster.set("KILOWATCH_LOG__GENERATION", "2");
    let member = cluster.start_member();
    let sent = first.len() as u64 + producer.count();
    wait_until("the readings of both topics are there", async || cluster.applied().await > sent).await;
    let second = producer.finish().await;
    ends_well(&cluster, first.and(second), vec![member]).await;
}
