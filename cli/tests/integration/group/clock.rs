//! Clocks that jump: that of the members, and that by which messages are stamped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    clock::{Clock, SharedClock},
    views,
};
use kilowatch_speed::{SpeedConfig, SpeedDeps, SpeedLayer};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::{
    cluster::Cluster,
    ledger::{Producer, ends_well},
    trials::{METERS, Trial, trials},
};
use crate::{process::wait_until, rounds::seed};

/// The machine's clock, put forward or back.
#[derive(Debug, Default)]
struct JumpingClock {
    ahead_secs: AtomicI64,
}

impl Clock for JumpingClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::seconds(self.ahead_secs.load(Ordering::Relaxed))
    }
}

/// A member inside this process, whose clock the test has in its hands; killed when dropped, with all that it runs.
struct MemberInside(Option<Runtime>);

impl MemberInside {
    fn start(cluster: &Cluster, clock: SharedClock) -> Self {
        let (log, lake) = cluster.open(Arc::clone(&clock));
        let (views_url, profile) = (cluster.views_url(), cluster.profile.clone());
        let config = SpeedConfig { window_ms: 100, segment_ms: 1_000, refresh_ms: 500, ..SpeedConfig::default() };
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let views = views::open(&views_url).await.unwrap();
            let layer = SpeedLayer::new(SpeedDeps { log, lake, views, clock }, vec![profile], config);
            layer.run(CancellationToken::new()).await.unwrap();
        });
        Self(Some(runtime))
    }
}

impl Drop for MemberInside {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_jump_by_days_change_no_verdict_and_hold_nothing_up() {
    let mut random = ChaCha8Rng::seed_from_u64(seed());
    for trial in trials(METERS, (12, 300), &[2]) {
        clocks_jump(&trial, &mut random).await;
    }
}

async fn clocks_jump(trial: &Trial, random: &mut ChaCha8Rng) {
    let mut cluster = trial.cluster().await;
    let producers_clock = Arc::new(JumpingClock::default());
    let clocks = [Arc::new(JumpingClock::default()), Arc::new(JumpingClock::default())];
    cluster.log = cluster.open(Arc::clone(&producers_clock) as SharedClock).0;
    let producer = Producer::start(&cluster, 12);
    let members = clocks.clone().map(|clock| MemberInside::start(&cluster, clock));
    for _ in 0..trial.rounds {
        for clock in clocks.iter().chain([&producers_clock]) {
            clock.ahead_secs.store(random.random_range(-2 * 86_400..2 * 86_400), Ordering::Relaxed);
        }
        // No condition to wait for: the moment is what the test draws.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..700))).await;
        let sent = producer.count();
        wait_until("readings come through", async || cluster.applied().await > sent).await;
    }
    // The last jump is a long one back, with leases and timestamps of the future left behind; then another member, whose
    // clock is right, takes over.
    clocks.iter().for_each(|clock| clock.ahead_secs.store(2 * 86_400, Ordering::Relaxed));
    let (sent, closed) = (producer.count(), cluster.closed().await);
    wait_until("readings come through", async || cluster.applied().await > sent + 1_000).await;
    wait_until("segments reach the lake", async || cluster.closed().await > closed).await;
    drop(members);
    let last = cluster.start_member();
    let ledger = producer.finish().await;
    ends_well(&cluster, ledger, vec![last]).await;
}
