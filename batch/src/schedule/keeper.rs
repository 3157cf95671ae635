//! Keeps the leases of schedules: of processes that could run the jobs of a stream, one does.

use std::{collections::BTreeMap, time::Duration};

use chrono::TimeDelta;
use futures::future::join_all;
use kilowatch_shared::{
    checkpoint::OwnerToken,
    position::StreamName,
    views::{Lease, ViewsError},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::BatchDeps;

/// How long a process that is gone keeps the others waiting.
const LEASE: Duration = Duration::from_secs(30);

/// How often a lease is renewed, or asked for.
const RENEWAL: Duration = Duration::from_secs(10);

/// How long the views may take to answer: two more tries fit into a lease.
const ANSWER: Duration = Duration::from_secs(5);

/// How long giving back may take at a stop; a lease that is not given back ends by itself.
const RELEASE: Duration = Duration::from_secs(2);

/// The streams whose schedule is this process's, each until an instant of its own clock: a process that stood still does not
/// think that it holds what somebody else may have taken.
#[derive(Debug, Clone)]
pub(super) struct Held(watch::Receiver<BTreeMap<StreamName, Instant>>);

impl Held {
    pub(super) fn has(&self, stream: &StreamName) -> bool {
        self.0.borrow().get(stream).is_some_and(|until| *until > Instant::now())
    }

    /// Waits until something was taken, renewed or lost.
    pub(super) async fn changed(&mut self) {
        // The keeper lives as long as whoever waits.
        let _gone = self.0.changed().await;
    }

    /// Waits until the stream is not held any more.
    pub(super) async fn lost(mut self, stream: &StreamName) {
        loop {
            let until = self.0.borrow_and_update().get(stream).copied();
            let Some(until) = until.filter(|until| *until > Instant::now()) else { return };
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.changed() => {}
            }
        }
    }
}

/// Takes leases, renews them and gives them back.
#[derive(Debug)]
pub(super) struct LeaseKeeper<'a> {
    deps: &'a BatchDeps,
    holder: OwnerToken,
    streams: Vec<&'a StreamName>,
    held: watch::Sender<BTreeMap<StreamName, Instant>>,
}

impl<'a> LeaseKeeper<'a> {
    pub(super) fn new(deps: &'a BatchDeps, streams: impl Iterator<Item = &'a StreamName>) -> Self {
        metrics::describe_gauge!("kilowatch_schedule_owner", "1 while this process runs the schedule of the stream");
        let held = watch::Sender::new(BTreeMap::new());
        Self { deps, holder: OwnerToken::fresh(), streams: streams.collect(), held }
    }

    pub(super) fn held(&self) -> Held {
        Held(self.held.subscribe())
    }

    /// Asks again and again, for all streams at once. Does not end.
    pub(super) async fn run(&self) {
        loop {
            join_all(self.streams.iter().map(|stream| self.renew(stream))).await;
            sleep(RENEWAL).await;
        }
    }

    async fn renew(&self, stream: &StreamName) {
        let until = Instant::now() + LEASE;
        match timeout(ANSWER, self.ask(stream)).await {
            Ok(Ok(true)) => self.note(stream, Some(until)),
            Ok(Ok(false)) => self.note(stream, None),
            // What is held lasts until somebody else may have taken it.
            Ok(Err(error)) => tracing::warn!(%stream, %error, "the lease of a schedule was not renewed"),
            Err(_elapsed) => {
                tracing::warn!(%stream, secs = ANSWER.as_secs(), "the views do not answer who runs a schedule");
            }
        }
    }

    /// Gives back what is held, so that nobody has to wait for it.
    pub(super) async fn release(&self) {
        for stream in self.held.send_replace(BTreeMap::new()).into_keys() {
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

    fn note(&self, stream: &StreamName, until: Option<Instant>) {
        let mut before = None;
        self.held.send_modify(|held| {
            before = match until {
                Some(until) => held.insert(stream.clone(), until),
                None => held.remove(stream),
            };
        });
        metrics::gauge!("kilowatch_schedule_owner", "stream" => stream.as_str().to_owned())
            .set(f64::from(until.is_some()));
        match (before, until) {
            (None, Some(_)) => tracing::info!(%stream, "this process runs the schedule"),
            (Some(_), None) => tracing::warn!(%stream, "the schedule is no longer this process's"),
            _ => {}
        }
    }
}
