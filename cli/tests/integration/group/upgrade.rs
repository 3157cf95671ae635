//! A rolling upgrade: the previous build and this one in one group, with another detector configuration in the new one.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    ASSIGNED,
    cluster::Cluster,
    ledger::{Producer, ends_well},
    member::Member,
    trials::{METERS, Trial, trials},
};
use crate::process::{own_binary, wait_until};

/// Path of the build that is upgraded from; without it, it is this one with the old configuration.
const PREVIOUS: &str = "KILOWATCH_TEST_PREVIOUS_BINARY";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_member_by_member_under_load_changes_no_verdict_that_was_given() {
    let previous = std::env::var_os(PREVIOUS).map_or_else(|| own_binary().to_owned(), PathBuf::from);
    println!("from {} to {}", previous.display(), own_binary().display());
    for trial in trials(METERS, (1, 5), &[2]) {
        is_upgraded(&trial, &previous).await;
    }
}

async fn is_upgraded(trial: &Trial, previous: &Path) {
    let cluster = trial.cluster_of_build(previous).await;
    let [before, after] = trial.two_profiles(previous);
    let (old, new) = (cluster.write_profile("old", &before), cluster.write_profile("new", &after));
    let producer = Producer::start(&cluster, 11);
    let mut members = vec![start(&cluster, previous, &old), start(&cluster, previous, &old)];
    caught_up(&cluster, &producer).await;
    for _ in 0..trial.rounds {
        for (binary, profile) in [(own_binary(), &new), (previous, &old), (own_binary(), &new)] {
            // One member after the other, so that both kinds own partitions at the same time.
            for _ in 0..2 {
                let leaving = members.remove(0);
                leaving.stop();
                let joined = start(&cluster, binary, profile);
                wait_until("the new member has a partition", async || joined.said(ASSIGNED) > 0).await;
                members.push(joined);
                caught_up(&cluster, &producer).await;
            }
        }
    }
    let mut pins = BTreeSet::new();
    for partition in cluster.partitions().await {
        let state = cluster.views.partition(&partition).await.unwrap().unwrap();
        let changes = state.cuts.windows(2).filter(|pair| pair[0].pins != pair[1].pins).count();
        assert!(changes > 0, "{partition} was judged by one configuration alone");
        pins.extend(state.cuts.iter().map(|cut| cut.pins.id().unwrap().as_str().to_owned()));
    }
    assert!(pins.len() > 1, "only {pins:?}");
    let ledger = producer.finish().await;
    ends_well(&cluster, ledger, members).await;
}

fn start(cluster: &Cluster, binary: &Path, profile: &str) -> Member {
    let mut command = cluster.command_of(binary, &["speed", "run", "--stream", cluster.stream()]);
    command.env("KILOWATCH_STREAM_FILES", profile);
    Member::start(command)
}

async fn caught_up(cluster: &Cluster, producer: &Producer) {
    let sent = producer.count();
    wait_until("the members have caught up", async || cluster.applied().await > sent + 1_000).await;
}
