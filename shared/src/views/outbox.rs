//! What leaves through a sink, and how two members share the work.

use super::{Lease, ViewsError};
use crate::{
    checkpoint::OwnerToken,
    outbox::OutboxEntry,
    position::{Offset, PartitionId, StreamName},
};
use async_trait::async_trait;

/// How much waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxBacklog {
    /// Of which partition.
    pub partition: PartitionId,
    /// How many entries.
    pub entries: u64,
}

/// The outbox. Entries come in with [`SpeedViews::apply`](super::SpeedViews::apply), in the transaction of the effects
/// that they tell of; one that is there already stays as it is.
#[async_trait]
pub trait OutboxViews: std::fmt::Debug + Send + Sync {
    /// The partitions of a stream that have entries, with how many.
    async fn outbox_backlogs(&self, stream: &StreamName) -> Result<Vec<OutboxBacklog>, ViewsError>;

    /// Takes the lease of a partition, or renews it. False while another holder's lease lasts. A holder that outlives
    /// its lease may deliver an entry a second time, never lose one. A lease that ends more than a whole length after
    /// this one would was taken by a clock that jumped, and is passed over.
    async fn lease_outbox(&self, partition: &PartitionId, lease: &Lease) -> Result<bool, ViewsError>;

    /// The oldest entries of a partition by position, then id: at most `most_entries`, and as many as have `most_bytes`
    /// of payload together, but at least one.
    async fn outbox_entries(
        &self,
        partition: &PartitionId,
        most_entries: u32,
        most_bytes: u64,
    ) -> Result<Vec<OutboxEntry>, ViewsError>;

    /// Deletes entries that the sink has acknowledged; returns how many were still there.
    async fn acknowledge_outbox(&self, partition: &PartitionId, delivered: &[OutboxEntry]) -> Result<u64, ViewsError>;

    /// Gives the lease back, if it is `holder`'s.
    async fn release_outbox(&self, partition: &PartitionId, holder: OwnerToken) -> Result<(), ViewsError>;

    /// From now on [`SpeedViews::apply`](super::SpeedViews::apply) adds no entries of positions below `floor`. For a
    /// partition that is moved back: what it detects again was told before. [`Offset::ZERO`] lets everything out again.
    /// Entries that wait already stay.
    async fn hold_outbox_below(&self, partition: &PartitionId, floor: Offset) -> Result<(), ViewsError>;
}
