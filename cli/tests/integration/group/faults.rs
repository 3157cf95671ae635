//! What befalls members: others join and leave, kill -9, a pause that is longer than the session, new partitions.

use super::{
    ASSIGNED, GIVEN_AWAY,
    ledger::{Producer, ends_well},
    servers::Addresses,
    trials::{METERS, Trial, trials},
};
use crate::process::wait_until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_join_leave_and_are_killed_lose_nothing_and_double_nothing() {
    for trial in trials(METERS, (1, 1), &[3]) {
        join_leave_and_are_killed(&trial).await;
    }
}

async fn join_leave_and_are_killed(trial: &Trial) {
    let cluster = trial.cluster().await;
    let producer = Producer::start(&cluster, 1);
    let first = cluster.start_member();
    wait_until("the first member has all partitions", async || first.said(ASSIGNED) == 3).await;
    let second = cluster.start_member();
    wait_until("the second member has a partition", async || second.said(ASSIGNED) > 0).await;
    assert!(first.said(GIVEN_AWAY) > 0, "a partition was taken from the first member without its consent");
    cluster.run(&["batch", "rollup", "--stream", cluster.stream()]);
    first.kill();
    wait_until("the second member has taken over", async || second.said(ASSIGNED) == 3).await;
    let third = cluster.start_member();
    wait_until("the third member has a partition", async || third.said(ASSIGNED) > 0).await;
    second.stop();
    wait_until("the third member has taken over", async || third.said(ASSIGNED) >= 3).await;
    let ledger = producer.finish().await;
    ends_well(&cluster, ledger, vec![third]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_paused_for_longer_than_its_session_is_fenced_off() {
    for trial in trials("sensor", (1, 1), &[2]) {
        is_paused(&trial).await;
    }
}

async fn is_paused(trial: &Trial) {
    let cluster = trial.cluster().await;
    let producer = Producer::start(&cluster, 2);
    let zombie = cluster.start_member();
    wait_until("the zombie has all partitions", async || zombie.said(ASSIGNED) == 3).await;
    wait_until("the zombie has applied something", async || cluster.applied().await > 500).await;
    zombie.pause();
    let other = cluster.start_member();
    wait_until("the other member has taken over", async || other.said(ASSIGNED) == 3).await;
    let taken_over = producer.count();
    wait_until("readings came after that", async || producer.count() > taken_over + 500).await;
    zombie.resume();
    // It wakes inside whatever it did; then it hears that it was given up, and joins again.
    wait_until("the zombie has let go", async || zombie.said(GIVEN_AWAY) == 3).await;
    wait_until("the zombie is a member again", async || zombie.said(ASSIGNED) > 3).await;
    let ledger = producer.finish().await;
    ends_well(&cluster, ledger, vec![zombie, other]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_are_added_under_load_are_shared_and_read_from_their_first_message() {
    for trial in trials("grid", (1, 1), &[2]) {
        partitions_are_added(&trial).await;
    }
}

async fn partitions_are_added(trial: &Trial) {
    let cluster = trial.cluster_of(Addresses::shared(), 1).await;
    let producer = Producer::start(&cluster, 3);
    let members = [cluster.start_member(), cluster.start_member()];
    let assigned = || members.iter().map(|member| member.said(ASSIGNED)).sum::<usize>();
    wait_until("the one partition has a reader", async || assigned() == 1).await;
    cluster.add_partitions(4).await;
    wait_until("each partition has a reader", async || {
        let mut owners = 0;
        for partition in cluster.partitions().await {
            let state = cluster.views.partition(&partition).await.unwrap();
            owners += usize::from(state.is_some_and(|state| state.owner.is_some()));
        }
        owners == 4
    })
    .await;
    assert!(members.iter().all(|member| member.said(ASSIGNED) > 0), "one member got everything");
    wait_until("each partition has readings", async || {
        for partition in cluster.partitions().await {
            if cluster.views.partition(&partition).await.unwrap().is_none_or(|state| state.applied.get() < 300) {
                return false;
            }
        }
        true
    })
    .await;
    let ledger = producer.finish().await;
    ends_well(&cluster, ledger, members.into()).await;
}
