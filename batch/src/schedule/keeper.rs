//! Keeps the leases of schedules: of processes that could run the jobs of a stream, one does.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::TimeDelta;
use kilowatch_shared::{
    checkpoint::OwnerToken,
    position::StreamName,
    views::{Lease, ViewsError},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::BatchDeps;

/// How long a process that is gone keeps the others waiting.
const LEASE: Duration = Duration::from_secs(30);

/// How often a lease is renewed, or asked for, and how long the views may take to answer.
const RENEWAL: Duration = Duration::from_secs(10);

/// How long giving back may take at a stop; a lease that is not given back ends by itself.
const RELEASE: Duration = Duration::from_secs(2);

/// The streams whose schedule is this process's, as they come and go.
pub(super) type Held = watch::Receiver<BTreeSet<StreamName>>;

/// Takes leases, renews them and gives them back.
#[derive(Debug)]
pub(super) struct LeaseKeeper<'a> {
    deps: &'a BatchDeps,
    holder: OwnerToken,
    streams: Vec<&'a StreamName>,
    held: watch::Sender<BTreeSet<StreamName>>,
}

impl<'a> LeaseKeeper<'a> {
    pub(super) fn new(deps: &'a BatchDeps, streams: impl Iterator<Item = &'a StreamName>) -> Self {
        metrics::describe_gauge!("kilowatch_schedule_owner", "1 while this process runs the schedule of the stream");
        let held = watch::Sender::new(BTreeSet::new());
        Self { deps, holder: OwnerToken::fresh(), streams: streams.collect(), held }
    }

    pub(super) fn held(&self) -> Held {
        self.held.subscribe()
    }

    /// Asks again and again. Does not end.
    pub(super) async fn run(&self) {
        let mut renewed: BTreeMap<&StreamName, Instant> = BTreeMap::new();
        loop {
            for &stream in &self.streams {
                let asked = Instant::now();
                let is_ours = match timeout(RENEWAL, self.ask(stream)).await {
                    Ok(Ok(true)) => {
                        renewed.insert(stream, asked);
                        true
                    }
                    Ok(Ok(false)) => false,
                    unanswered => {
                        if let Ok(Err(error)) = unanswered {
                            tracing::warn!(%stream, %error, "the lease of a schedule was not renewed");
                        }
                        // By our own clock it lasts until somebody else may have taken it.
                        renewed.get(stream).is_some_and(|at| at.elapsed() < LEASE)
                    }
                };
                self.note(stream, is_ours);
            }
            sleep(RENEWAL).await;
        }
    }

    /// Gives back what is held, so that nobody has to wait for it.
    pub(super) async fn release(&self) {
        for stream in self.held.send_replace(BTreeSet::new()) {
            let given_back = timeout(RELEASE, self.deps.views.release_schedule(&stream, self.holder)).await;
            if let Ok(Err(error)) = given_back {
                tracing::warn!(%stream, %error, "the lease of a schedule was not given back and ends by itself");
            }
        }
    }

    async fn ask(&self, stream: &StreamName) -> Result<bool, ViewsError> {
        let now = self.deps.clock.now();
        let length = TimeDelta::from_std(LEASE).unwrap_or(TimeDelta::MAX);
        let lease = Lease { holder: self.holder, now, until: now + length };
        self.deps.views.lease_schedule(stream, &lease).await
    }

    fn note(&self, stream: &StreamName, is_ours: bool) {
        let changed = self.held.send_if_modified(|held| match is_ours {
            true => held.insert(stream.clone()),
            false => held.remove(stream),
        });
        metrics::gauge!("kilowatch_schedule_owner", "stream" => stream.as_str().to_owned()).set(f64::from(is_ours));
        match (changed, is_ours) {
            (true, true) => tracing::info!(%stream, "this process runs the schedule"),
            (true, false) => tracing::warn!(%stream, "the schedule is no longer this process's"),
            (false, _) => {}
        }
    }
}
