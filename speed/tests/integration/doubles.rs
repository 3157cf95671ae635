//! Doors that fail or hang when told to.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use kilowatch_shared::{
    checkpoint::{Cut, OffsetSpan, OwnerToken},
    dead_letter::DeadLetter,
    lake::{CommitOutcome, LakeError, LakeSnapshot, LakeTable, SavedState, Segment, SegmentLake},
    model::{ModelId, ModelManifest},
    position::{Offset, PartitionId, StreamName},
    reading::{LakeReading, ReadingColumns},
    stream::StreamProfile,
    views::{ApplyOutcome, Effects, PartitionState, SpeedViews, ViewsError},
};
use tokio::sync::watch;

/// Lets callers through, or holds them up.
#[derive(Debug)]
struct Gate {
    open: watch::Sender<bool>,
    waiting: AtomicUsize,
}

impl Gate {
    fn new() -> Self {
        Self { open: watch::channel(true).0, waiting: AtomicUsize::new(0) }
    }

    async fn pass(&self) {
        let mut open = self.open.subscribe();
        if !*open.borrow_and_update() {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            open.wait_for(|open| *open).await.unwrap();
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

/// How the next transaction goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing reached the other side.
    Lost,
    /// It is in, only the answer was lost.
    AnswerLost,
}

/// Views that lose a request or an answer, are away, or do not answer a transaction.
#[derive(Debug)]
pub struct FaultyViews {
    inner: Arc<dyn SpeedViews>,
    faults: Mutex<VecDeque<Fault>>,
    away: AtomicBool,
    gate: Gate,
}

impl FaultyViews {
    pub fn new(inner: Arc<dyn SpeedViews>) -> Self {
        Self { inner, faults: Mutex::default(), away: AtomicBool::new(false), gate: Gate::new() }
    }

    pub fn hang(&self, hang: bool) {
        self.gate.open.send_replace(!hang);
    }

    /// Transactions that wait for an answer.
    pub fn hanging(&self) -> usize {
        self.gate.waiting()
    }

    pub fn fail_next(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }

    pub fn no_more_faults(&self) {
        self.faults.lock().unwrap().clear();
    }

    pub fn go_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn reachable(&self) -> Result<(), ViewsError> {
        if self.away.load(Ordering::SeqCst) { Err(lost()) } else { Ok(()) }
    }

    fn fault(&self) -> Option<Fault> {
        self.faults.lock().unwrap().pop_front()
    }
}

fn lost() -> ViewsError {
    ViewsError::Unavailable { reason: "a fault was injected".to_owned() }
}

fn answer<T>(fault: Option<Fault>, answer: T) -> Result<T, ViewsError> {
    if fault == Some(Fault::AnswerLost) { Err(lost()) } else { Ok(answer) }
}

#[async_trait]
impl SpeedViews for FaultyViews {
    async fn claim(&self, p: &PartitionId, owner: OwnerToken, first: &Cut) -> Result<PartitionState, ViewsError> {
        self.reachable()?;
        let fault = self.fault();
        if fault == Some(Fault::Lost) {
            return Err(lost());
        }
        answer(fault, self.inner.claim(p, owner, first).await?)
    }

    async fn partition(&self, p: &PartitionId) -> Result<Option<PartitionState>, ViewsError> {
        self.reachable()?;
        self.inner.partition(p).await
    }

    async fn apply(
        &self,
        p: &PartitionId,
        owner: OwnerToken,
        span: OffsetSpan,
        effects: &Effects,
    ) -> Result<ApplyOutcome, ViewsError> {
        self.gate.pass().await;
        self.reachable()?;
        let fault = self.fault();
        if fault == Some(Fault::Lost) {
            return Err(lost());
        }
        answer(fault, self.inner.apply(p, owner, span, effects).await?)
    }

    async fn release(&self, p: &PartitionId, owner: OwnerToken) -> Result<(), ViewsError> {
        self.reachable()?;
        self.inner.release(p, owner).await
    }
}

/// Which segments a lake refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refuses {
    /// None.
    Nothing,
    /// Those of profiles with so many measures, as a table whose columns have other types.
    Measures(usize),
    /// All, as a disk that is full.
    Everything,
}

/// A lake that can be away, refuse to be written, or not answer.
#[derive(Debug)]
pub struct AwayLake {
    inner: Arc<dyn SegmentLake>,
    away: AtomicBool,
    refuses: Mutex<Refuses>,
    /// Readings below it reached their age limit.
    first: Mutex<Offset>,
    gate: Gate,
}

impl AwayLake {
    pub fn new(inner: Arc<dyn SegmentLake>) -> Self {
        Self {
            inner,
            away: AtomicBool::new(false),
            refuses: Mutex::new(Refuses::Nothing),
            first: Mutex::default(),
            gate: Gate::new(),
        }
    }

    pub fn hang(&self, hang: bool) {
        self.gate.open.send_replace(!hang);
    }

    pub fn refuse(&self, segments: Refuses) {
        *self.refuses.lock().unwrap() = segments;
    }

    pub fn expire_below(&self, first: Offset) {
        *self.first.lock().unwrap() = first;
    }

    /// Calls that wait for an answer.
    pub fn hanging(&self) -> usize {
        self.gate.waiting()
    }

    pub fn go_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    async fn there(&self) -> Result<&dyn SegmentLake, LakeError> {
        self.gate.pass().await;
        if self.away.load(Ordering::SeqCst) {
            return Err(LakeError::Unavailable { reason: "a fault was injected".to_owned() });
        }
        Ok(self.inner.as_ref())
    }
}

#[async_trait]
impl SegmentLake for AwayLake {
    async fn snapshot(&self, stream: &StreamName, table: LakeTable) -> Result<LakeSnapshot, LakeError> {
        self.there().await?.snapshot(stream, table).await
    }

    async fn append_readings(
        &self,
        profile: &StreamProfile,
        base: &LakeSnapshot,
        segments: &[Segment<ReadingColumns>],
    ) -> Result<CommitOutcome, LakeError> {
        let lake = self.there().await?;
        let refuses = *self.refuses.lock().unwrap();
        if refuses == Refuses::Everything || refuses == Refuses::Measures(profile.measures.len()) {
            return Err(LakeError::Refused { reason: "the bucket is read-only".to_owned() });
        }
        lake.append_readings(profile, base, segments).await
    }

    async fn append_dead_letters(
        &self,
        profile: &StreamProfile,
        base: &LakeSnapshot,
        segments: &[Segment<Vec<DeadLetter>>],
    ) -> Result<CommitOutcome, LakeError> {
        self.there().await?.append_dead_letters(profile, base, segments).await
    }

    async fn committed_cuts(&self, p: &PartitionId, span: OffsetSpan) -> Result<Vec<Cut>, LakeError> {
        self.there().await?.committed_cuts(p, span).await
    }

    async fn read_readings(
        &self,
        profile: &StreamProfile,
        p: &PartitionId,
        span: OffsetSpan,
    ) -> Result<Vec<LakeReading>, LakeError> {
        let lake = self.there().await?;
        let first = *self.first.lock().unwrap();
        if span.from < first {
            return Err(LakeError::Expired { partition: p.to_string(), from: span.from, first });
        }
        lake.read_readings(profile, p, span).await
    }

    async fn save_state(&self, p: &PartitionId, state: &SavedState) -> Result<(), LakeError> {
        self.there().await?.save_state(p, state).await
    }

    async fn load_states(&self, p: &PartitionId, at_most: Offset, limit: usize) -> Result<Vec<SavedState>, LakeError> {
        self.there().await?.load_states(p, at_most, limit).await
    }

    async fn load_model(&self, id: &ModelId) -> Result<Bytes, LakeError> {
        self.there().await?.load_model(id).await
    }

    async fn save_model(&self, manifest: &ModelManifest, bytes: Bytes) -> Result<(), LakeError> {
        self.there().await?.save_model(manifest, bytes).await
    }
}
