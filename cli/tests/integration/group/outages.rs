//! Servers that die under load and come back: Kafka, Postgres, S3.

use super::{
    cluster::Cluster,
    ledger::{Producer, ends_well},
    member::Member,
    servers::{Addresses, Kind, Server},
    trials::{Trial, trials},
};
use crate::process::wait_until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kafka_that_dies_and_comes_back_costs_no_reading() {
    for trial in trials("grid", (2, 20), &[3, 1]) {
        kafka_dies(&trial).await;
    }
}

async fn kafka_dies(trial: &Trial) {
    let mut kafka = Server::start(Kind::Kafka).await;
    let cluster = trial.cluster_on(Addresses::shared().with(&kafka)).await;
    let producer = Producer::start(&cluster, 5);
    let members = trial.start_members(&cluster).await;
    for _ in 0..trial.rounds {
        readings_come_through(&cluster, &producer).await;
        kafka.go_down();
        not_ready(&members, "").await;
        kafka.come_back().await;
        readings_come_through(&cluster, &producer).await;
        ready(&members).await;
    }
    let ledger = producer.finish().await;
    ends_well(&cluster, ledger, members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_dies_and_comes_back_costs_no_reading() {
    for trial in trials("sensor", (2, 20), &[3, 1]) {
        postgres_dies(&trial).await;
    }
}

async fn postgres_dies(trial: &Trial) {
    let mut postgres = Server::start(Kind::Postgres).await;
    let cluster = trial.cluster_on(Addresses::shared().with(&postgres)).await;
    let producer = Producer::start(&cluster, 6);
    let members = trial.start_members(&cluster).await;
    for _ in 0..trial.rounds {
        readings_come_through(&cluster, &producer).await;
        postgres.go_down();
        not_ready(&members, "").await;
        let sent = producer.count();
        wait_until("readings come meanwhile", async || producer.count() > sent + 500).await;
        postgres.come_back().await;
        readings_come_through(&cluster, &producer).await;
        ready(&members).await;
    }
    let ledger = producer.finish().await;
    ends_well(&cluster, ledger, members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_s3_is_dead_detection_goes_on_and_the_lake_gets_all_of_it_afterwards() {
    for trial in trials("household", (2, 20), &[3, 1]) {
        s3_dies(&trial).await;
    }
}

async fn s3_dies(trial: &Trial) {
    let mut minio = Server::start(Kind::Minio).await;
    let mut cluster = trial.cluster_on(Addresses::shared().with(&minio)).await;
    cluster.set("KILOWATCH_SPEED__UNCLOSED_CUTS_ALARM", "2");
    // A few hundred rows: most have to be read from the log again when the lake is back.
    cluster.set("KILOWATCH_SPEED__UNCLOSED_BYTES", "65536");
    let producer = Producer::start(&cluster, 7);
    let members = trial.start_members(&cluster).await;
    for _ in 0..trial.rounds {
        readings_come_through(&cluster, &producer).await;
        wait_until("the lake holds something", async || cluster.closed().await > 0).await;
        minio.go_down();
        let sent = producer.count();
        wait_until("detection goes on", async || cluster.applied().await > sent + 3_000).await;
        not_ready(&members, "cuts that the lake does not hold yet").await;
        minio.come_back().await;
        let applied = cluster.applied().await;
        wait_until("the lake has caught up", async || cluster.closed().await > applied).await;
        ready(&members).await;
    }
    let ledger = producer.finish().await;
    ends_well(&cluster, ledger, members).await;
}

/// What was sent by now is applied, and so is some of what came after it.
async fn readings_come_through(cluster: &Cluster, producer: &Producer) {
    let sent = producer.count();
    wait_until("readings come through", async || cluster.applied().await > sent + 500).await;
}

/// Each member says by its health that something is wrong, in these words.
async fn not_ready(members: &[Member], why: &str) {
    for member in members {
        let says_so = async || member.problems().await.is_some_and(|problems| problems.contains(why));
        wait_until("a member says what is wrong", says_so).await;
    }
}

async fn ready(members: &[Member]) {
    for member in members {
        let mut seen = None;
        wait_until("a member is ready again", async || {
            let problems = member.problems().await;
            if problems != seen {
                println!("not ready yet: {problems:?}");
                seen.clone_from(&problems);
            }
            problems.is_none()
        })
        .await;
    }
}
