//! Delivers a stream's entries: leases a partition, gives its oldest entries to the sink, deletes what it took.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::OwnerToken,
    clock::SharedClock,
    position::{PartitionId, StreamName},
    retry::Backoff,
    views::{Lease, OutboxBacklog, ViewsError},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Outbox, SinkError};
use crate::{status::StatusBoard, telemetry};

/// Longer than a delivery takes at a healthy sink, and short enough that entries of a member that was killed are not
/// missed.
const LEASE: TimeDelta = TimeDelta::seconds(15);
/// A lease that lasts no longer than this is renewed before the next delivery.
const RENEW_BELOW: TimeDelta = TimeDelta::seconds(10);
/// One round trip to a sink is worth some hundred entries.
const ENTRIES_AT_ONCE: u32 = 500;
/// What one delivery may hold in memory; an entry has at most about a megabyte.
const BYTES_AT_ONCE: u64 = 4 << 20;

/// The dispatcher of one stream in one member.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    outbox: Outbox,
    stream: StreamName,
    clock: SharedClock,
    board: Arc<StatusBoard>,
    wake: Arc<Notify>,
    refresh: Duration,
    holder: OwnerToken,
    /// How many entries waited when they were counted last.
    entries: u64,
    /// Until when each partition is ours.
    leases: BTreeMap<PartitionId, DateTime<Utc>>,
}

#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error(transparent)]
    Views(#[from] ViewsError),
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl Dispatcher {
    /// One that looks after entries at every `wake`, and every `refresh` for those that another member left.
    pub(crate) fn new(
        outbox: Outbox,
        stream: StreamName,
        clock: SharedClock,
        board: Arc<StatusBoard>,
        wake: Arc<Notify>,
        refresh: Duration,
    ) -> Self {
        let (holder, leases) = (OwnerToken::fresh(), BTreeMap::new());
        Self { outbox, stream, clock, board, wake, refresh, holder, entries: 0, leases }
    }

    /// Delivers until `stop`, then once more what the last micro-batches brought, and gives its leases back.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut delays = Backoff::patient().delays();
        while !stop.is_cancelled() {
            let pause = match self.deliver_all().await {
                Ok(()) => {
                    delays = Backoff::patient().delays();
                    None
                }
                Err(error) => Some(self.waits(&error, delays.next().unwrap_or_default())),
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause.unwrap_or(self.refresh)) => {}
                () = self.wake.notified(), if pause.is_none() => {}
            }
        }
        if let Err(error) = self.deliver_all().await {
            tracing::info!(stream = %self.stream, %error, "a stop left entries in the outbox for the next member");
        }
        for partition in self.leases.keys() {
            if let Err(error) = self.outbox.views.release_outbox(partition, self.holder).await {
                tracing::debug!(%partition, %error, "an outbox lease was not given back, it ends by itself");
            }
        }
    }

    async fn deliver_all(&mut self) -> Result<(), DeliveryError> {
        let mut waiting = self.outbox.views.outbox_backlogs(&self.stream).await?;
        self.count(&waiting);
        // A partition whose entries do not go must not keep those of the others.
        let mut first_error = None;
        for backlog in &mut waiting {
            if let Err(error) = self.deliver_partition(backlog).await {
                first_error.get_or_insert(error);
            }
        }
        self.count(&waiting);
        match first_error {
            Some(error) => Err(error),
            None => {
                self.board.outbox(&self.stream, self.entries, None, self.clock.now());
                Ok(())
            }
        }
    }

    /// Delivers what was counted; what comes meanwhile waits until the other partitions had their turn.
    async fn deliver_partition(&mut self, backlog: &mut OutboxBacklog) -> Result<(), DeliveryError> {
        while backlog.entries > 0 && self.has_lease(&backlog.partition).await? {
            let delivered = self.deliver_some(&backlog.partition).await?;
            backlog.entries = if delivered == 0 { 0 } else { backlog.entries.saturating_sub(delivered) };
        }
        Ok(())
    }

    /// How many entries went.
    async fn deliver_some(&self, partition: &PartitionId) -> Result<u64, DeliveryError> {
        let entries = self.outbox.views.outbox_entries(partition, ENTRIES_AT_ONCE, BYTES_AT_ONCE).await?;
        if !entries.is_empty() {
            self.outbox.sink.deliver(&entries).await?;
            self.outbox.views.acknowledge_outbox(partition, &entries).await?;
            telemetry::outbox_delivered(&self.stream, entries.len());
        }
        Ok(entries.len() as u64)
    }

    async fn has_lease(&mut self, partition: &PartitionId) -> Result<bool, ViewsError> {
        let now = self.clock.now();
        // What lasts longer than a lease was taken before the clock went back, and counts for nobody else.
        let lasts = |until: &DateTime<Utc>| (RENEW_BELOW..=LEASE).contains(&(*until - now));
        if self.leases.get(partition).is_some_and(lasts) {
            return Ok(true);
        }
        let lease = Lease { holder: self.holder, now, until: now + LEASE };
        let ours = self.outbox.views.lease_outbox(partition, &lease).await?;
        if ours {
            self.leases.insert(partition.clone(), lease.until);
        } else {
            self.leases.remove(partition);
        }
        Ok(ours)
    }

    fn waits(&self, error: &DeliveryError, pause: Duration) -> Duration {
        telemetry::outbox_failed(&self.stream);
        tracing::warn!(stream = %self.stream, %error, retry_ms = pause.as_millis(), "a delivery will be tried again");
        self.board.outbox(&self.stream, self.entries, Some(error.to_string()), self.clock.now());
        pause
    }

    fn count(&mut self, waiting: &[OutboxBacklog]) {
        self.entries = waiting.iter().map(|backlog| backlog.entries).sum();
        self.board.outbox_entries(&self.stream, self.entries);
        telemetry::outbox_entries(&self.stream, self.entries);
    }
}
