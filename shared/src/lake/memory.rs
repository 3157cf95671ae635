//! The lake in memory: what tests of speed lean on. It keeps the same contract as the real one.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    CommitOutcome, LakeError, LakeSnapshot, LakeTable, SavedState, Segment, SegmentLake,
    checks::{advance, check_model, still_where_base_has_them},
};
use crate::{
    checkpoint::{Cut, OffsetSpan, SourcePartition},
    dead_letter::DeadLetter,
    model::{ModelId, ModelManifest},
    position::{Offset, PartitionId, StreamName},
    reading::{LakeReading, ReadingColumns},
    stream::StreamProfile,
};

/// How the next commit goes wrong; the caller sees [`LakeError::Unavailable`] either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFault {
    /// Nothing reached the lake.
    Lost,
    /// The commit is in, only its answer was lost.
    AnswerLost,
}

/// A lake without a store. Versions count commits, from 0.
#[derive(Debug, Default)]
pub struct MemoryLake {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default, Clone)]
struct Inner {
    readings: BTreeMap<StreamName, Table<ReadingColumns>>,
    dead_letters: BTreeMap<StreamName, Table<Vec<DeadLetter>>>,
    states: BTreeMap<PartitionId, BTreeMap<Offset, SavedState>>,
    models: BTreeMap<String, (ModelManifest, Bytes)>,
    faults: VecDeque<CommitFault>,
}

#[derive(Debug, Clone)]
struct Table<T> {
    commits: Vec<Vec<Segment<T>>>,
    closed: BTreeMap<SourcePartition, Offset>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { commits: Vec::new(), closed: BTreeMap::new() }
    }
}

impl<T: Clone> Table<T> {
    fn version(&self) -> Option<i64> {
        i64::try_from(self.commits.len()).ok()?.checked_sub(1).filter(|version| *version >= 0)
    }

    fn snapshot(&self) -> LakeSnapshot {
        LakeSnapshot { version: self.version(), closed: self.closed.clone() }
    }

    fn append(
        &mut self,
        stream: &StreamName,
        base: &LakeSnapshot,
        segments: &[Segment<T>],
    ) -> Result<CommitOutcome, LakeError> {
        let moved = advance(stream, base, segments)?;
        if !still_where_base_has_them(&moved, base, &self.closed) {
            return Ok(CommitOutcome::Conflict);
        }
        self.closed.extend(moved);
        self.commits.push(segments.to_vec());
        Ok(CommitOutcome::Committed(self.version().unwrap_or_default()))
    }

    fn segments_until(&self, version: i64) -> impl Iterator<Item = &Segment<T>> {
        let commits = usize::try_from(version.saturating_add(1)).unwrap_or_default();
        self.commits.iter().take(commits).flatten()
    }

    fn cuts_of(&self, partition: &PartitionId, span: OffsetSpan) -> impl Iterator<Item = (Offset, Cut)> {
        self.segments_of(partition)
            .flat_map(|segment| &segment.cuts)
            .filter(move |cut| span.from <= cut.offset && cut.offset < span.to)
            .map(|cut| (cut.offset, cut.clone()))
    }

    fn segments_of(&self, partition: &PartitionId) -> impl Iterator<Item = &Segment<T>> {
        self.commits.iter().flatten().filter(move |segment| segment.partition == *partition)
    }
}

impl MemoryLake {
    /// An empty lake.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy that goes its own way from here: a backup of the lake.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { inner: Mutex::new(self.lock().clone()) }
    }

    /// Makes the next commit go wrong; faults queue up, one a commit.
    pub fn fail_next_commit(&self, fault: CommitFault) {
        self.lock().faults.push_back(fault);
    }

    /// Forgets the faults that are still queued.
    pub fn no_more_faults(&self) {
        self.lock().faults.clear();
    }

    /// All readings of a stream, in commit order.
    #[must_use]
    pub fn readings(&self, stream: &StreamName) -> Vec<LakeReading> {
        self.readings_at(stream, i64::MAX)
    }

    /// The readings of a stream at a version, in commit order.
    #[must_use]
    pub fn readings_at(&self, stream: &StreamName, version: i64) -> Vec<LakeReading> {
        let inner = self.lock();
        let segments = inner.readings.get(stream).into_iter().flat_map(|table| table.segments_until(version));
        segments.flat_map(Segment::readings).collect()
    }

    /// All dead letters of a stream, in commit order.
    #[must_use]
    pub fn dead_letters(&self, stream: &StreamName) -> Vec<DeadLetter> {
        let inner = self.lock();
        let segments = inner.dead_letters.get(stream).into_iter().flat_map(|table| table.segments_until(i64::MAX));
        segments.flat_map(|segment| segment.rows.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SegmentLake for MemoryLake {
    async fn snapshot(&self, stream: &StreamName, table: LakeTable) -> Result<LakeSnapshot, LakeError> {
        let inner = self.lock();
        let snapshot = match table {
            LakeTable::Readings => inner.readings.get(stream).map(Table::snapshot),
            LakeTable::DeadLetters => inner.dead_letters.get(stream).map(Table::snapshot),
        };
        Ok(snapshot.unwrap_or(LakeSnapshot { version: None, closed: BTreeMap::new() }))
    }

    async fn append_readings(
        &self,
        profile: &StreamProfile,
        base: &LakeSnapshot,
        segments: &[Segment<ReadingColumns>],
    ) -> Result<CommitOutcome, LakeError> {
        let mut inner = self.lock();
        let fault = inner.faults.pop_front();
        append(&mut inner.readings, fault, &profile.name, base, segments)
    }

    async fn append_dead_letters(
        &self,
        profile: &StreamProfile,
        base: &LakeSnapshot,
        segments: &[Segment<Vec<DeadLetter>>],
    ) -> Result<CommitOutcome, LakeError> {
        let mut inner = self.lock();
        let fault = inner.faults.pop_front();
        append(&mut inner.dead_letters, fault, &profile.name, base, segments)
    }

    async fn committed_cuts(&self, partition: &PartitionId, span: OffsetSpan) -> Result<Vec<Cut>, LakeError> {
        let inner = self.lock();
        let mut cuts = BTreeMap::new();
        if let Some(table) = inner.dead_letters.get(&partition.stream) {
            cuts.extend(table.cuts_of(partition, span));
        }
        if let Some(table) = inner.readings.get(&partition.stream) {
            cuts.extend(table.cuts_of(partition, span));
        }
        Ok(cuts.into_values().collect())
    }

    async fn read_readings(
        &self,
        _profile: &StreamProfile,
        partition: &PartitionId,
        span: OffsetSpan,
    ) -> Result<Vec<LakeReading>, LakeError> {
        let inner = self.lock();
        let Some(table) = inner.readings.get(&partition.stream) else { return Ok(Vec::new()) };
        Ok(table
            .segments_of(partition)
            .filter(|segment| segment.span.from < span.to && segment.span.to > span.from)
            .flat_map(Segment::readings)
            .filter(|row| row.position.offset >= span.from && row.position.offset < span.to)
            .collect())
    }

    async fn save_state(&self, partition: &PartitionId, state: &SavedState) -> Result<(), LakeError> {
        self.lock().states.entry(partition.clone()).or_default().insert(state.offset, state.clone());
        Ok(())
    }

    async fn load_states(
        &self,
        partition: &PartitionId,
        at_most: Offset,
        limit: usize,
    ) -> Result<Vec<SavedState>, LakeError> {
        let inner = self.lock();
        let Some(states) = inner.states.get(partition) else { return Ok(Vec::new()) };
        Ok(states.range(..=at_most).rev().take(limit).map(|(_, state)| state.clone()).collect())
    }

    async fn load_model(&self, id: &ModelId) -> Result<Bytes, LakeError> {
        let inner = self.lock();
        let (_, bytes) = inner.models.get(id.as_str()).ok_or_else(|| LakeError::NoSuchModel { id: id.clone() })?;
        Ok(bytes.clone())
    }

    async fn save_model(&self, manifest: &ModelManifest, bytes: Bytes) -> Result<(), LakeError> {
        check_model(&manifest.id, &bytes)?;
        self.lock().models.entry(manifest.id.as_str().to_owned()).or_insert((manifest.clone(), bytes));
        Ok(())
    }
}

fn append<T: Clone>(
    tables: &mut BTreeMap<StreamName, Table<T>>,
    fault: Option<CommitFault>,
    stream: &StreamName,
    base: &LakeSnapshot,
    segments: &[Segment<T>],
) -> Result<CommitOutcome, LakeError> {
    let lost = || LakeError::Unavailable { reason: "a fault was injected".to_owned() };
    if fault == Some(CommitFault::Lost) {
        return Err(lost());
    }
    let outcome = tables.entry(stream.clone()).or_default().append(stream, base, segments)?;
    if fault == Some(CommitFault::AnswerLost) { Err(lost()) } else { Ok(outcome) }
}
