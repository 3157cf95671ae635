//! What speed applies.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::ViewsError;
use crate::{
    anomaly::{Anomaly, EndedEpisode},
    checkpoint::{Cut, MessageHash, OffsetSpan, OwnerToken},
    dead_letter::DeadLetter,
    outbox::OutboxEntry,
    position::{DeviceId, Offset, PartitionId},
    reading::MessageCounts,
    rollup::RollupRow,
};

/// What the views know of a partition.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionState {
    /// Who owns it, if anybody.
    pub owner: Option<OwnerToken>,
    /// A: effects of all offsets below it are in the views.
    pub applied: Offset,
    /// Hash of message A-1, as it was applied.
    pub last_message: Option<MessageHash>,
    /// The recorded cuts with their pins, ascending. The first one is where the partition began.
    pub cuts: Vec<Cut>,
}

/// What a window gains.
pub type RollupDelta = RollupRow;

/// Everything that a micro-batch changes in the views, besides A.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effects {
    /// Verdicts that became alarms.
    pub anomalies: Vec<Anomaly>,
    /// Episodes that ended, those of `anomalies` or of earlier ones.
    pub ended: Vec<EndedEpisode>,
    /// What the windows gain, one entry a key, to be tagged with the last recorded cut at or below `span.from`.
    pub rollups: Vec<RollupDelta>,
    /// Messages that became no reading.
    pub dead_letters: Vec<DeadLetter>,
    /// What the world outside is told of them. Of positions below the partition's outbox floor nothing is: see
    /// [`OutboxViews::hold_outbox_below`](super::OutboxViews::hold_outbox_below).
    pub outbox: Vec<OutboxEntry>,
    /// The newest event time of each device of the batch.
    pub devices: Vec<(DeviceId, DateTime<Utc>)>,
    /// What the messages became.
    pub counts: MessageCounts,
    /// Hash of message `span.to - 1`; `None` keeps what is recorded (an empty span).
    pub last_message: Option<MessageHash>,
    /// A cut to record, at `span.to`, in the same transaction.
    pub cut: Option<Cut>,
}

/// How an application ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyOutcome {
    /// Readers see all of it.
    Applied,
    /// An earlier try went through although its answer was lost; nothing changed now.
    AlreadyApplied,
    /// Another member owns the partition; nothing changed.
    NotOwner,
    /// We own it, but A is neither `span.from` nor `span.to`: the member's memory is wrong; claim again.
    OutOfStep {
        /// A as it is.
        applied: Offset,
    },
}

/// What speed needs of the views.
#[async_trait]
pub trait SpeedViews: std::fmt::Debug + Send + Sync {
    /// Makes `owner` the owner, whoever was it before, and tells what is known of the partition, in one transaction.
    /// A partition that is not known yet begins at `first.offset` with `first` as its first cut.
    async fn claim(
        &self,
        partition: &PartitionId,
        owner: OwnerToken,
        first: &Cut,
    ) -> Result<PartitionState, ViewsError>;

    /// What is known of the partition.
    async fn partition(&self, partition: &PartitionId) -> Result<Option<PartitionState>, ViewsError>;

    /// Applies the effects and moves A from `span.from` to `span.to` in one transaction, whose first statement is
    /// `A := span.to where owner = owner and A = span.from`: readers see all or nothing. An empty span with a cut
    /// records the cut alone (a cut that is there already is kept as it is). Anomalies and dead letters that are there
    /// already are replays and stay as they are, and so does an episode that has ended.
    ///
    /// # Errors
    /// [`ViewsError::Refused`] for a span that ends before it begins, or a cut elsewhere than at its end; nothing changed.
    async fn apply(
        &self,
        partition: &PartitionId,
        owner: OwnerToken,
        span: OffsetSpan,
        effects: &Effects,
    ) -> Result<ApplyOutcome, ViewsError>;

    /// Gives the partition up, if it is still `owner`'s.
    async fn release(&self, partition: &PartitionId, owner: OwnerToken) -> Result<(), ViewsError>;
}
