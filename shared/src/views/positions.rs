//! What an operator may change of a partition's position, on the day when log, lake and views do not fit together.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::ViewsError;
use crate::{
    checkpoint::{Cut, MessageHash, OffsetSpan},
    position::{Offset, PartitionId, StreamName},
    reading::MessageCounts,
};

/// An idle owner shows every thirty seconds that it is there; one that was not seen for twice as long is gone. One that
/// is there nevertheless (its micro-batches are longer) is fenced off like any other zombie.
pub const OWNER_GONE_AFTER: TimeDelta = TimeDelta::seconds(60);

/// What an operator did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionVerb {
    /// Went back: messages are judged again.
    Rewind,
    /// Went on behind messages that the log no longer has.
    Skip,
    /// Took a topic that was made again for another source.
    Adopt,
}

impl PositionVerb {
    const ALL: [Self; 3] = [Self::Rewind, Self::Skip, Self::Adopt];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rewind => "rewind",
            Self::Skip => "skip",
            Self::Adopt => "adopt",
        }
    }

    /// The verb of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == name)
    }
}

/// Who changed a position, when, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// When.
    pub at: DateTime<Utc>,
    /// Who: a user and a host.
    pub by: String,
    /// Why, in the operator's words.
    pub reason: String,
}

/// The move of one partition.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionMove {
    /// Which one.
    pub partition: PartitionId,
    /// A as it was when the move was decided.
    pub from: Offset,
    /// A as it is to be.
    pub to: Offset,
    /// A cut, at or below `to`. Sums and anomalies of messages at and above it leave the views, and cuts above it are
    /// forgotten. Dead letters leave from `to` on: what is below is not judged again, and its bytes are nowhere else.
    pub undone_from: Offset,
    /// A cut to record, at `to`.
    pub cut: Option<Cut>,
    /// Hash of message `to - 1`, where it is known.
    pub last_message: Option<MessageHash>,
    /// What of the counted messages will be counted again.
    pub uncounted: MessageCounts,
    /// Whether the outside hears again what it was told of messages from `to` on; else only what it was not told yet.
    pub resend: bool,
    /// What the record says.
    pub recorded: RecordedMove,
}

/// A move as the record tells it, when the whole verb is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedMove {
    /// A before.
    pub from: Offset,
    /// A after; for an adopted topic, where the old source ends.
    pub to: Offset,
    /// Offsets whose messages neither the log has any more nor the lake ever had.
    pub gap: Option<OffsetSpan>,
}

/// How moves ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoveOutcome {
    /// All are done and on record.
    Moved,
    /// Somebody works on a partition; nothing changed.
    LiveOwner {
        /// Which one.
        partition: PartitionId,
        /// When the owner was seen last.
        seen_at: DateTime<Utc>,
    },
    /// A partition that nobody works on is not where it was any more; nothing changed.
    Elsewhere {
        /// Which one.
        partition: PartitionId,
    },
}

/// A change on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedChange {
    /// Which partition.
    pub partition: PartitionId,
    /// What was done.
    pub verb: PositionVerb,
    /// From where to where.
    #[serde(flatten)]
    pub moved: RecordedMove,
    /// Who, when and why.
    #[serde(flatten)]
    pub audit: Audit,
}

/// What the position verbs need of the views.
#[async_trait]
pub trait PositionViews: std::fmt::Debug + Send + Sync {
    /// When the partition's owner was seen last; `None` if nobody owns it.
    async fn owner_seen_at(&self, partition: &PartitionId) -> Result<Option<DateTime<Utc>>, ViewsError>;

    /// Moves partitions in one transaction, all or none, and records each move. An owner that was not seen for
    /// [`OWNER_GONE_AFTER`] is put out of office. With `forget_published` the stream's boundary and published windows go
    /// as well, for a lake that went back below them: the next publication computes them anew.
    async fn move_positions(
        &self,
        verb: PositionVerb,
        moves: &[PositionMove],
        forget_published: Option<&StreamName>,
        audit: &Audit,
    ) -> Result<MoveOutcome, ViewsError>;

    /// Makes `generation` the topic's generation, unless a partition of the source that it replaces has a live owner,
    /// and records it for each of these partitions, with its A. A generation never falls.
    async fn adopt_topic(
        &self,
        topic: &str,
        generation: u32,
        replaced: &[PartitionId],
        audit: &Audit,
    ) -> Result<MoveOutcome, ViewsError>;

    /// The generations of adopted topics.
    async fn topic_generations(&self) -> Result<BTreeMap<String, u32>, ViewsError>;

    /// The newest changes of a stream, at most `limit`.
    async fn position_changes(&self, stream: &StreamName, limit: u32) -> Result<Vec<RecordedChange>, ViewsError>;
}
