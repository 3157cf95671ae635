//! Members that are to end with their topic: `speed run --until-caught-up`.

use serde_json::Value;

use super::{
    ASSIGNED,
    cluster::Cluster,
    ledger::{Producer, ends_well},
    member::Member,
    trials::METERS,
};
use crate::process::wait_until;

const DRAIN: [&str; 6] = ["--json", "speed", "run", "--stream", METERS, "--until-caught-up"];

fn drain(cluster: &Cluster) -> Member {
    Member::start(cluster.command(&DRAIN))
}

/// Messages that a member says it applied, once it has ended well.
fn applied(member: Member) -> u64 {
    let answer: Value = serde_json::from_slice(&tokio::task::block_in_place(|| member.wait())).unwrap();
    answer["messages"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_drain_a_topic_end_together_and_count_their_own_the_one_without_a_partition_included() {
    let cluster = Cluster::new(2).await;
    let producer = Producer::start(&cluster, 15);
    wait_until("there is something to drain", async || producer.count() > 5_000).await;
    let ledger = producer.finish().await;
    // More members than partitions: at least one stands by.
    let members: Vec<Member> = (0..3).map(|_| drain(&cluster)).collect();
    let counts: Vec<u64> = members.into_iter().map(applied).collect();
    assert_eq!(counts.iter().sum::<u64>(), ledger.len() as u64, "{counts:?}");
    let late = drain(&cluster);
    assert_eq!(applied(late), 0);
    ends_well(&cluster, ledger, Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_takes_over_what_a_member_that_died_left_behind() {
    let cluster = Cluster::new(1).await;
    let producer = Producer::start(&cluster, 16);
    let first = cluster.start_member();
    wait_until("the first member is at work", async || cluster.applied().await > 0).await;
    first.pause();
    let paused_at = producer.count();
    wait_until("there is something left to drain", async || producer.count() > paused_at + 2_000).await;
    let ledger = producer.finish().await;
    let second = drain(&cluster);
    wait_until("the second member has taken over", async || second.said(ASSIGNED) == 1).await;
    first.kill();
    assert!(applied(second) >= 2_000);
    ends_well(&cluster, ledger, Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stop_has_no_time_to_close_is_closed_by_the_next_owner_though_it_finds_nothing_to_apply() {
    let mut cluster = Cluster::new(3).await;
    // Only a stop would close something, and it gets no time.
    cluster.set("KILOWATCH_SPEED__SEGMENT_MS", "3600000");
    cluster.set("KILOWATCH_SPEED__STOP_DEADLINE_MS", "0");
    let producer = Producer::start(&cluster, 23);
    let member = cluster.start_member();
    wait_until("readings come through", async || cluster.applied().await > 5_000).await;
    let said = member.stop();
    assert!(said.iter().any(|line| line.contains("exceeded its deadline")), "{said:#?}");
    let ledger = producer.finish().await;
    assert!(cluster.closed().await < cluster.applied().await, "the stop had time to close");

    // Neither has the stop of a drain, which does not pass for a good end.
    let hurried = tokio::task::block_in_place(|| cluster.command(&DRAIN).output().unwrap());
    cluster.applied_everything().await;
    let is_closed = cluster.closed().await == cluster.applied().await;
    assert_eq!(hurried.status.success(), is_closed, "{}", String::from_utf8_lossy(&hurried.stderr));

    cluster.set("KILOWATCH_SPEED__STOP_DEADLINE_MS", "90000");
    ends_well(&cluster, ledger, Vec::new()).await;
}
