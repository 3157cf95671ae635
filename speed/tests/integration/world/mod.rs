//! Two members, log, lake and views in one place, stepped from outside; `beside` them a publisher and backups, an
//! `operator`, and the `invariants` over all of it.

mod beside;
mod invariants;
mod operator;

use std::{sync::Arc, time::Duration};

use kilowatch_shared::{
    checkpoint::{Cut, SourcePartition},
    clock::FixedClock,
    cut_line::PinSet,
    lake::{
        LakeTable, SegmentLake,
        memory::{CommitFault, MemoryLake},
    },
    log::{Log, LogRecord, ReadLimit, memory::MemoryLog},
    position::{Offset, PartitionId},
    retry::RetryHint,
    stream::StreamProfile,
    views::{BatchViews, PartitionState, SharedViews, SpeedViews, sqlite::SqliteViews},
};
use kilowatch_speed::{
    SpeedConfig, StepError,
    member::{Close, CloseOutcome, ClosePart, CloseProgress, CutWish, Doors, PartitionWorker, PhaseName},
};

use self::beside::{Backups, Job};
use crate::{
    doubles::{Fault, FaultyViews},
    stream::{Message, TOPIC, epoch, pin_variants, profile},
    truth::Truth,
};

/// One member of the group: the partition's worker and the close that runs beside it.
#[derive(Debug)]
struct Member {
    worker: PartitionWorker,
    close: Option<RunningClose>,
    claims: u32,
}

#[derive(Debug)]
struct RunningClose {
    close: Close,
    /// The claim that it belongs to; the worker of a later one does not hear of it.
    claim: u32,
}

#[derive(Debug)]
pub struct World {
    profile: Arc<StreamProfile>,
    pins: Vec<PinSet>,
    promoted: usize,
    config: Arc<SpeedConfig>,
    pub log: Arc<MemoryLog>,
    pub lake: Arc<MemoryLake>,
    pub views: SharedViews,
    faulty: Arc<FaultyViews>,
    doors: Arc<Doors>,
    pub partition: PartitionId,
    records: Vec<LogRecord>,
    members: Vec<Member>,
    assigned: usize,
    jobs: Vec<Job>,
    backups: Option<Backups>,
    truth: Option<(Offset, Vec<Cut>, Truth)>,
    outbox_is_checked: bool,
}

impl World {
    /// An empty world. With `backups` the views can come back from one.
    pub async fn new(config: SpeedConfig, backups: bool) -> Self {
        let profile = Arc::new(profile());
        let log = Arc::new(MemoryLog::new(Arc::new(FixedClock(epoch()))));
        log.create_topic(TOPIC, 1).await.unwrap();
        let lake = Arc::new(MemoryLake::new());
        let (views, backups): (SharedViews, _) = if backups {
            let folder = tempfile::tempdir().unwrap();
            let views = Arc::new(SqliteViews::open(&folder.path().join("views-0.db")).await.unwrap());
            (views.clone(), Some(Backups { folder, views, generation: 0, backup: None }))
        } else {
            (Arc::new(SqliteViews::in_memory().await.unwrap()), None)
        };
        let source = log.source(TOPIC).await.unwrap();
        let partition = PartitionId { stream: profile.name.clone(), source, partition: 0 };
        let faulty = Arc::new(FaultyViews::new(views.clone()));
        let doors = doors(&log, &lake, &faulty, &views);
        let mut world = Self {
            pins: pin_variants(),
            promoted: 0,
            config: Arc::new(config),
            profile,
            log,
            lake,
            views,
            faulty,
            doors,
            partition,
            records: Vec::new(),
            members: Vec::new(),
            assigned: 0,
            jobs: Vec::new(),
            backups,
            truth: None,
            outbox_is_checked: true,
        };
        world.members = (0..2).map(|_| world.fresh_member()).collect();
        world
    }

    fn fresh_member(&self) -> Member {
        let worker = PartitionWorker::new(
            Arc::clone(&self.doors),
            Arc::clone(&self.config),
            self.partition.clone(),
            self.pins[self.promoted].clone(),
        );
        Member { worker, close: None, claims: 0 }
    }

    // ---- what happens outside of the members ----

    pub async fn produce(&mut self, messages: &[Message]) {
        let from = self.records.last().map_or(Offset::ZERO, |record| record.offset.plus(1));
        let records: Vec<_> = messages.iter().map(Message::to_record).collect();
        self.log.put(&SourcePartition::from(&self.partition), &records).unwrap();
        let all = ReadLimit { records: usize::MAX, bytes: usize::MAX, before: None };
        let fetched = self.log.read(&SourcePartition::from(&self.partition), from, all, Duration::ZERO).await.unwrap();
        self.records.extend(fetched.records);
    }

    /// Offsets without a message, which Kafka's transactions leave behind.
    pub async fn leave_gap(&mut self, count: u64) {
        self.log.skip(&SourcePartition::from(&self.partition), count).unwrap();
        self.produce(&[Message::Tombstone]).await;
    }

    /// Retention drops what both lake and views hold.
    pub async fn expire(&self) {
        let closed = self.closed().await;
        let applied = self.state().await.map_or(Offset::ZERO, |state| state.applied);
        self.log.expire(&SourcePartition::from(&self.partition), closed.min(applied)).unwrap();
    }

    pub fn promote(&mut self, variant: usize) {
        self.promoted = variant % self.pins.len();
        for member in &mut self.members {
            member.worker.use_pins(self.pins[self.promoted].clone());
        }
    }

    pub fn assign(&mut self, member: usize) {
        self.assigned = member;
    }

    pub fn fail_views(&self, fault: Fault) {
        self.faulty.fail_next(fault);
    }

    pub fn fail_lake(&self, fault: Fault) {
        self.lake.fail_next_commit(match fault {
            Fault::Lost => CommitFault::Lost,
            Fault::AnswerLost => CommitFault::AnswerLost,
        });
    }

    // ---- what members do ----

    pub fn crash(&mut self, member: usize) {
        self.members[member] = self.fresh_member();
    }

    pub async fn revoke(&mut self, member: usize) {
        tolerate(self.members[member].worker.revoke().await);
    }

    pub fn abandon(&mut self, member: usize) {
        self.members[member].worker.abandon();
    }

    /// Reads and folds up to `take` messages, or does what has to come before it.
    pub async fn gather(&mut self, member: usize, take: usize) {
        if !self.advance(member).await {
            return;
        }
        let worker = &mut self.members[member].worker;
        if worker.owes_apply() {
            return;
        }
        let fetched = worker.fetch(Duration::ZERO).await;
        if let Err(StepError::Log(kilowatch_shared::log::LogError::OutOfRange { .. })) = fetched {
            worker.give_up_memory();
            return;
        }
        if let Some(Some(mut fetched)) = tolerate(fetched) {
            if let Some(after) = fetched.records.get(take) {
                fetched.next = after.offset;
                fetched.records.truncate(take);
            }
            tolerate(worker.absorb(fetched).await);
        }
    }

    /// Applies what was gathered, or does what has to come before it.
    pub async fn apply(&mut self, member: usize, wish: CutWish) {
        if self.advance(member).await {
            let worker = &mut self.members[member].worker;
            let wish = if worker.may_cut() { wish } else { CutWish::None };
            tolerate(worker.apply(wish).await);
        }
    }

    /// Brings the member to where it runs, applies everything that is there, and cuts.
    pub async fn apply_and_cut(&mut self, member: usize) {
        for _ in 0..5 {
            self.gather(member, usize::MAX).await;
        }
        self.apply(member, CutWish::Cut).await;
    }

    /// Brings the member one phase further; true once it runs.
    async fn advance(&mut self, member: usize) -> bool {
        let assigned = self.assigned == member;
        let Member { worker, claims, .. } = &mut self.members[member];
        match worker.phase() {
            PhaseName::Idle if assigned => {
                *claims += 1;
                tolerate(worker.claim().await);
            }
            PhaseName::Idle => {}
            PhaseName::Claimed => {
                tolerate(worker.check().await);
            }
            PhaseName::Checked => {
                tolerate(worker.restore().await);
            }
            PhaseName::Running => return true,
            PhaseName::Stopped => {}
        }
        assert_eq!(worker.stop_reason(), None, "a partition stopped though log, lake and views belong together");
        false
    }

    /// Begins a close, or does its next step; a fenced member's goes on as well.
    pub async fn close_step(&mut self, member: usize) {
        let doors = Arc::clone(&self.doors);
        let Member { worker, close, claims } = &mut self.members[member];
        let Some(running) = close else {
            if let Some(part) = worker.begin_close() {
                *close = Some(RunningClose { close: Close::new(doors, part, Vec::new()), claim: *claims });
            }
            return;
        };
        if tolerate(running.close.step().await) == Some(CloseProgress::Finished) {
            if running.claim == *claims {
                for outcome in running.close.outcomes().values() {
                    worker.closed(outcome);
                }
            }
            *close = None;
        }
    }

    /// What the member would close now.
    pub fn begin_close(&mut self, member: usize) -> ClosePart {
        self.members[member].worker.begin_close().unwrap()
    }

    /// Closes a part that outlived its member, at the views as they are now.
    pub async fn close_alone(&self, part: ClosePart) -> CloseOutcome {
        let mut close = Close::new(Arc::clone(&self.doors), part, Vec::new());
        while close.step().await.unwrap() == CloseProgress::Going {}
        close.outcomes()[&self.partition].clone()
    }

    /// Steps a close until the lake has a state of the partition; false if it ended without one.
    pub async fn close_until_a_state_is_saved(&mut self, member: usize) -> bool {
        for _ in 0..10 {
            self.close_step(member).await;
            let newest = Offset::new(u64::MAX);
            if !self.lake.load_states(&self.partition, newest, 1).await.unwrap().is_empty() {
                return true;
            }
        }
        false
    }

    async fn state(&self) -> Option<PartitionState> {
        self.views.partition(&self.partition).await.unwrap()
    }

    async fn closed(&self) -> Offset {
        let snapshot = self.lake.snapshot(&self.profile.name, LakeTable::Readings).await.unwrap();
        snapshot.closed_to(&self.partition).unwrap_or_default()
    }

    /// No more faults: the assigned member brings everything through, the other one is a zombie or gone.
    pub async fn settle(&mut self) {
        self.faulty.no_more_faults();
        let member = self.assigned;
        let end = self.records.last().map_or(Offset::ZERO, |record| record.offset.plus(1));
        for _ in 0..500 {
            let applied = self.state().await.map_or(Offset::ZERO, |state| state.applied);
            if applied == end && self.closed().await == end && self.members[member].close.is_none() {
                return;
            }
            self.gather(member, usize::MAX).await;
            self.apply(member, if applied == end { CutWish::Cut } else { CutWish::None }).await;
            self.close_step(member).await;
            self.close_step(1 - member).await;
        }
        panic!("progress: no way to A = L = {end} without a fault: {:?}", self.members);
    }

    pub fn messages(&self) -> usize {
        self.records.len()
    }
}

fn doors(log: &Arc<MemoryLog>, lake: &Arc<MemoryLake>, faulty: &Arc<FaultyViews>, views: &SharedViews) -> Arc<Doors> {
    let speed: Arc<dyn SpeedViews> = faulty.clone();
    let batch: Arc<dyn BatchViews> = views.clone();
    Arc::new(Doors::new(log.clone(), lake.clone(), speed, batch))
}

/// An injected fault may end a step; anything else is a bug.
fn tolerate<T>(result: Result<T, StepError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert_eq!(error.retry_hint(), RetryHint::WithBackoff, "a step failed for good: {error}");
            None
        }
    }
}
