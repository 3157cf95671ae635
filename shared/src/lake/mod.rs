//! The door to the lake: Delta tables on an object store, models and detector states beside them.
//!
//! [`store`] opens the root by URL. [`SegmentLake`] is what speed closes segments with; [`delta::DeltaLake`] is the
//! real one and [`memory::MemoryLake`] its twin; both pass `shared/tests/integration/contracts/lake/`. Batch encodes
//! [`files`] by the columns of [`schema`], commits them through [`delta::DeltaLake`], and asks with SQL in a [`session`].
//! People name tables ([`TableName`]) and points of their history ([`AsOf`]), and ask in a [`session::ReadOnlySession`].

mod as_of;
mod checks;
pub mod delta;
mod error;
pub mod files;
pub mod memory;
pub mod paths;
pub mod schema;
pub mod session;
pub mod store;
mod table_name;

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use as_of::{AsOf, InvalidAsOf};
pub use error::{LakeError, is_clock_skew};
pub use table_name::{InvalidTableName, TableName};

use crate::{
    checkpoint::{Cut, OffsetSpan, PinsId, SourcePartition},
    dead_letter::DeadLetter,
    model::{ModelId, ModelManifest},
    position::{Offset, PartitionId, StreamName},
    reading::{LakeReading, ReadingColumns},
    stream::StreamProfile,
};

/// The two tables of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LakeTable {
    /// Readings.
    Readings,
    /// Messages that became none.
    DeadLetters,
}

impl LakeTable {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Readings, Self::DeadLetters];
}

/// A table of a stream at one version: the base that a commit is checked against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LakeSnapshot {
    /// The version; `None` while the table does not exist.
    pub version: Option<i64>,
    /// L: of each partition of a log, the first offset that the table does not hold.
    pub closed: BTreeMap<SourcePartition, Offset>,
}

impl LakeSnapshot {
    /// L of one partition, if the lake holds anything of it.
    #[must_use]
    pub fn closed_to(&self, partition: &PartitionId) -> Option<Offset> {
        self.closed.get(&SourcePartition::from(partition)).copied()
    }
}

/// A closed segment of one partition on its way to a table.
#[derive(Debug, Clone)]
pub struct Segment<R> {
    /// Which partition.
    pub partition: PartitionId,
    /// From L to a recorded cut above it.
    pub span: OffsetSpan,
    /// What of the span belongs to the table, in offset order.
    pub rows: R,
    /// The recorded cuts of `[span.from, span.to)`, with their pins: those that its rows were judged with. They go into
    /// the commit's metadata.
    pub cuts: Vec<Cut>,
}

impl Segment<ReadingColumns> {
    /// Its readings as the table keeps them.
    pub fn readings(&self) -> impl Iterator<Item = LakeReading> + '_ {
        self.rows.readings().map(|reading| reading.in_partition(&self.partition))
    }
}

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is in, as this version.
    Committed(i64),
    /// The table moved on in a way that matters to this commit: reload, read L, leave out what is done, rewrite.
    Conflict,
}

/// Detector state of a partition at a cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedState {
    /// The cut's offset: all messages below it are in the state.
    pub offset: Offset,
    /// The cuts below `offset` at which the pins changed, the first one included, as they were when the state was saved.
    /// A state counts only if the recorded ones are equal.
    pub cuts: Vec<(Offset, PinsId)>,
    /// The serialised fold.
    pub state: Bytes,
}

/// What speed needs of the lake. Tested by the contract suite.
#[async_trait]
pub trait SegmentLake: std::fmt::Debug + Send + Sync {
    /// The newest version of a table and its L values, read together.
    async fn snapshot(&self, stream: &StreamName, table: LakeTable) -> Result<LakeSnapshot, LakeError>;

    /// Appends segments of readings in one commit: rows, a `txn` per segment with version `span.to`, cuts and pins in
    /// the metadata. Makes the table if `base` has none.
    /// It is a [`CommitOutcome::Conflict`] if the L of one of the partitions is no longer what `base` says; commits
    /// that touch other app ids do not conflict. After an error it is unknown whether the commit is in: read L.
    ///
    /// # Errors
    /// [`LakeError::NotAdvancing`] if a span does not begin at the L of `base` or does not end above it.
    async fn append_readings(
        &self,
        profile: &StreamProfile,
        base: &LakeSnapshot,
        segments: &[Segment<ReadingColumns>],
    ) -> Result<CommitOutcome, LakeError>;

    /// The same for dead letters.
    async fn append_dead_letters(
        &self,
        profile: &StreamProfile,
        base: &LakeSnapshot,
        segments: &[Segment<Vec<DeadLetter>>],
    ) -> Result<CommitOutcome, LakeError>;

    /// The cuts with their pins that the commits of a partition, to either table, carry for offsets in `span`, ascending.
    /// They stand in for views that were restored from an older backup.
    async fn committed_cuts(&self, partition: &PartitionId, span: OffsetSpan) -> Result<Vec<Cut>, LakeError>;

    /// Readings of a partition with offsets in `span`, in offset order, duplicates included.
    async fn read_readings(
        &self,
        profile: &StreamProfile,
        partition: &PartitionId,
        span: OffsetSpan,
    ) -> Result<Vec<LakeReading>, LakeError>;

    /// Saves detector state at a cut; the same cut again replaces it.
    async fn save_state(&self, partition: &PartitionId, state: &SavedState) -> Result<(), LakeError>;

    /// The states at or below `at_most`, newest first, at most `limit` of them.
    async fn load_states(
        &self,
        partition: &PartitionId,
        at_most: Offset,
        limit: usize,
    ) -> Result<Vec<SavedState>, LakeError>;

    /// A model's bytes, checked against its id.
    ///
    /// # Errors
    /// [`LakeError::NoSuchModel`], or [`LakeError::Corrupt`] if the bytes are not what the id says.
    async fn load_model(&self, id: &ModelId) -> Result<Bytes, LakeError>;

    /// Saves a model and its manifest; an id that is there is left as it is, for its bytes are the same.
    async fn save_model(&self, manifest: &ModelManifest, bytes: Bytes) -> Result<(), LakeError>;
}
