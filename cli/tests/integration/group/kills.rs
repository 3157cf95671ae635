//! `kill -9` of members at random moments: in the middle of a micro-batch, a close, a claim, a restore, a rebalance.

use std::time::Duration;

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{
    ledger::{Producer, ends_well},
    trials::{METERS, Trial, trials},
};
use crate::{process::wait_until, rounds::seed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_are_killed_at_random_lose_nothing_and_double_nothing() {
    let mut random = ChaCha8Rng::seed_from_u64(seed());
    for trial in trials(METERS, (5, 100), &[3, 1]) {
        are_killed_at_random(&trial, &mut random).await;
    }
}

async fn are_killed_at_random(trial: &Trial, random: &mut ChaCha8Rng) {
    let cluster = trial.cluster().await;
    let producer = Producer::start(&cluster, 4);
    let mut members = cluster.start_members(trial.members);
    for kill in 0..trial.rounds {
        // No condition to wait for: the moment is what the test draws.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..3000))).await;
        if kill % 5 == 4 {
            // The boundary has to move between the kills, or the seam would never be tried.
            cluster.run(&["batch", "rollup", "--stream", cluster.stream()]);
        }
        members.swap_remove(random.random_range(0..members.len())).kill();
        members.push(cluster.start_member());
        // Every other kill, on average, falls into the recovery from the one before.
        if random.random_bool(0.5) {
            let sent = producer.count();
            wait_until("the members have caught up", async || cluster.applied().await > sent).await;
        }
    }
    let ledger = producer.finish().await;
    ends_well(&cluster, ledger, members).await;
}
