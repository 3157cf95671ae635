//! A server that stands still with its connections open: nobody says that it is away.

use super::{
    cluster::Cluster,
    ledger::{Producer, ends_well},
    servers::{Addresses, Kind, Server},
};
use crate::process::wait_until;

const MIB: usize = 1 << 20;
/// Bytes that a reader may hold before it stops asking, and the last answer on top.
const READ_AHEAD: (usize, usize) = (4 * MIB, MIB);
const PARTITIONS: usize = 3;
/// Of one message of the burst.
const PADDING: usize = 50_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgres_stands_still_reading_ahead_ends_at_its_bound_and_nothing_is_lost() {
    let postgres = Server::start(Kind::Postgres).await;
    let mut cluster = Cluster::on(Addresses::shared().with(&postgres), PARTITIONS.try_into().unwrap()).await;
    cluster.set("KILOWATCH_SPEED__STALL_MS", "1000");
    let producer = Producer::start(&cluster, 17);
    let member = cluster.start_member();
    wait_until("readings come through", async || cluster.applied().await > 1_000).await;
    postgres.pause();
    // Several times what may be read ahead.
    producer.burst(60 * MIB / PADDING, PADDING).await;
    let prefetched = async || member.metric("kilowatch_log_prefetched_bytes").await;
    let (least, most) = (PARTITIONS * READ_AHEAD.0, PARTITIONS * (READ_AHEAD.0 + READ_AHEAD.1 + 2 * PADDING));
    wait_until("each partition has read ahead what it may", async || prefetched().await >= least as f64).await;
    wait_until("the member says that it stands still", async || {
        member.problems().await.is_some_and(|problems| problems.contains("stands still"))
    })
    .await;
    let sent = producer.count();
    wait_until("readings come meanwhile", async || {
        assert!(prefetched().await <= most as f64, "more than {most} bytes are read ahead");
        producer.count() > sent + 2_000
    })
    .await;
    postgres.resume();
    let sent = producer.count();
    wait_until("readings come through again", async || cluster.applied().await > sent).await;
    let ledger = producer.finish().await;
    ends_well(&cluster, ledger, vec![member]).await;
}
