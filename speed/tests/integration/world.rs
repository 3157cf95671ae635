//! Two members, a publisher, log, lake and views in one place, stepped from outside, and the invariants over them.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::{Boundary, Cut, OffsetSpan, SourcePartition},
    clock::FixedClock,
    detect::fold::ModelSet,
    lake::{
        LakeTable, SegmentLake,
        memory::{CommitFault, MemoryLake},
    },
    log::{Log, LogRecord, ReadLimit, memory::MemoryLog},
    position::{DeviceId, Offset, PartitionId},
    retry::RetryHint,
    rollup::{RollupKey, RollupRow},
    stream::StreamProfile,
    views::{
        BatchViews, PartitionState, Publication, PublishOutcome, ReplacedWindows, SharedViews, SpeedViews, StageId,
        UsageQuery, sqlite::SqliteViews,
    },
};
use kilowatch_speed::{
    SpeedConfig, StepError,
    cut_line::PinSet,
    member::{Close, CloseProgress, CutWish, Doors, PartitionWorker, PhaseName},
    replay::{replay_log, replay_readings},
};
use uuid::Uuid;

use crate::{
    doubles::{Fault, FaultyViews},
    stream::{DEVICES, MEASURE, Message, TOPIC, WINDOW_SECS, epoch, pin_variants, profile},
    truth::{Truth, Usage, assert_same_usage, usage_of},
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

/// A publication that was begun: what it read, and what it will write.
#[derive(Debug)]
struct Job {
    publication: Publication,
}

/// Views in a file, so that they can be backed up and come back.
#[derive(Debug)]
struct Backups {
    folder: tempfile::TempDir,
    views: Arc<SqliteViews>,
    generation: u32,
    backup: Option<PathBuf>,
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

    /// A batch job reads the boundary, then the lake at its newest version, and stages what it computed.
    pub async fn begin_job(&mut self) {
        let expected = self.views.boundary(&self.profile.name).await.unwrap();
        let snapshot = self.lake.snapshot(&self.profile.name, LakeTable::Readings).await.unwrap();
        let Some(version) = snapshot.version else { return };
        let stage = StageId(Uuid::new_v4());
        let rows: Vec<RollupRow> = usage_of(&self.lake.readings_at(&self.profile.name, version))
            .into_iter()
            .map(|((device, window_start), partial)| RollupRow {
                key: RollupKey {
                    device: DeviceId::parse(&device).unwrap(),
                    window_secs: WINDOW_SECS,
                    window_start,
                    measure: MEASURE.to_owned(),
                    group: String::new(),
                },
                partial,
            })
            .collect();
        self.views.stage_rollups(stage, &self.profile.name, &rows).await.unwrap();
        let next = Boundary { lake_version: Some(version), partitions: snapshot.closed };
        let publication =
            Publication { stream: self.profile.name.clone(), expected, next, stage, replaces: ReplacedWindows::All };
        self.jobs.push(Job { publication });
    }

    /// The oldest or the newest job that was begun publishes.
    pub async fn publish(&mut self, newest: bool) -> Option<PublishOutcome> {
        if self.jobs.is_empty() {
            return None;
        }
        let job = if newest { self.jobs.pop().unwrap() } else { self.jobs.remove(0) };
        Some(self.views.publish(&job.publication).await.unwrap())
    }

    pub async fn housekeep(&self) {
        self.views.drop_seen_speed_rollups(&self.profile.name, epoch()).await.unwrap();
    }

    /// Copies the views as they are.
    pub async fn back_up(&mut self) {
        let Some(backups) = &mut self.backups else { return };
        let path = backups.folder.path().join(format!("views-{}.db", backups.generation));
        let backup = backups.folder.path().join("backup.db");
        backups.views.close().await;
        std::fs::copy(&path, &backup).unwrap();
        backups.backup = Some(backup);
        let views = Arc::new(SqliteViews::open(&path).await.unwrap());
        self.use_views(views);
    }

    /// The views come back from the backup. Every member and job was stopped before: an operator does both at once.
    pub async fn restore_backup(&mut self) {
        let Some(backups) = &mut self.backups else { return };
        let Some(backup) = backups.backup.clone() else { return };
        backups.views.close().await;
        backups.generation += 1;
        let path = backups.folder.path().join(format!("views-{}.db", backups.generation));
        std::fs::copy(backup, &path).unwrap();
        let views = Arc::new(SqliteViews::open(&path).await.unwrap());
        self.use_views(views);
        self.jobs.clear();
        self.members = (0..2).map(|_| self.fresh_member()).collect();
    }

    fn use_views(&mut self, views: Arc<SqliteViews>) {
        if let Some(backups) = &mut self.backups {
            backups.views = views.clone();
        }
        self.views = views;
        self.faulty = Arc::new(FaultyViews::new(self.views.clone()));
        self.doors = doors(&self.log, &self.lake, &self.faulty, &self.views);
        self.truth = None;
        // Members hold connections to the views that were closed; theirs is the crash of a lost session.
        self.members = (0..2).map(|_| self.fresh_member()).collect();
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

    // ---- what must hold ----

    async fn state(&self) -> Option<PartitionState> {
        self.views.partition(&self.partition).await.unwrap()
    }

    async fn closed(&self) -> Offset {
        let snapshot = self.lake.snapshot(&self.profile.name, LakeTable::Readings).await.unwrap();
        snapshot.closed_to(&self.partition).unwrap_or_default()
    }

    /// Merged usage is the truth over [0, A) (I2), the views' anomalies are a replay's (I4, I3), and the lake holds
    /// every offset below L once, as what the recorded pins make of it, and none above (I1).
    pub async fn check(&mut self, when: &str) {
        let Some(state) = self.state().await else { return };
        let stale = self.truth.as_ref().is_none_or(|(a, cuts, _)| *a != state.applied || *cuts != state.cuts);
        if stale {
            let below: Vec<LogRecord> =
                self.records.iter().filter(|record| record.offset < state.applied).cloned().collect();
            let truth = Truth::of(&self.partition, &state.cuts, &below);
            self.truth = Some((state.applied, state.cuts.clone(), truth));
        }
        let Some((_, _, truth)) = &self.truth else { return };
        assert_same_usage(&self.merged_usage().await, &truth.usage(), when);
        let anomalies = self.views.anomalies_of(&self.partition).await.unwrap();
        assert_eq!(anomalies, truth.anomalies, "I4: the views' anomalies are not those of a replay {when}");

        let closed = self.closed().await;
        let mut held: BTreeSet<Offset> = BTreeSet::new();
        let mut readings = self.lake.readings(&self.profile.name);
        readings.sort_by_key(|row| row.position.offset);
        let mut dead_letters = self.lake.dead_letters(&self.profile.name);
        dead_letters.sort_by_key(|row| row.position.offset);
        let offsets =
            readings.iter().map(|row| row.position.offset).chain(dead_letters.iter().map(|row| row.position.offset));
        for offset in offsets {
            assert!(held.insert(offset), "I1: the lake holds {offset} twice {when}");
        }
        for record in self.records.iter().filter(|record| record.offset < closed) {
            assert!(held.contains(&record.offset), "I1: the lake skips {} below L = {closed} {when}", record.offset);
        }
        assert!(readings.iter().all(|row| row.position.offset < closed), "I1: the lake holds readings above L {when}");
        for row in readings.iter().filter(|row| row.position.offset < state.applied) {
            assert!(
                truth.readings.contains(row),
                "I1: the lake's {row:?} is not what the recorded pins make of it {when}"
            );
        }
        for row in dead_letters.iter().filter(|row| row.position.offset < state.applied) {
            assert!(truth.dead_letters.contains(row), "I1: {row:?} is no dead letter by the recorded pins {when}");
        }
    }

    async fn merged_usage(&self) -> Usage {
        let mut usage = Usage::new();
        for device in DEVICES {
            let query = UsageQuery {
                stream: self.profile.name.clone(),
                device: Some(DeviceId::parse(device).unwrap()),
                measure: MEASURE.to_owned(),
                window_secs: WINDOW_SECS,
                from: epoch() - TimeDelta::days(1),
                until: epoch() + TimeDelta::days(1),
                limit: 1000,
            };
            for window in self.views.usage(&query).await.unwrap().windows {
                let key: (String, DateTime<Utc>) = (device.to_owned(), window.start);
                usage.insert(key, window.partial);
            }
        }
        usage
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

    /// Everything is through: the lake holds each message once, a publication of all of it changes no answer, and
    /// replays of log and lake find the anomalies of the views.
    pub async fn check_the_end(&mut self) {
        self.check("at the end").await;
        let state = self.state().await.unwrap();
        let span = OffsetSpan { from: state.cuts[0].offset, to: state.applied };
        let stored = self.views.anomalies_of(&self.partition).await.unwrap();
        let mut rows = self.lake.readings(&self.profile.name);
        rows.sort_by_key(|row| row.position.offset);
        let from_lake = replay_readings(&self.partition, &state.cuts, ModelSet::default(), &rows).unwrap();
        assert_eq!(from_lake, stored, "I4: a replay of the lake finds other anomalies");
        let low = self.log.watermarks(&SourcePartition::from(&self.partition)).await.unwrap().low;
        if low <= span.from {
            let log: &dyn Log = self.log.as_ref();
            let from_log = replay_log(log, &self.partition, &state.cuts, ModelSet::default(), span).await.unwrap();
            assert_eq!(from_log, stored, "I4: a replay of the log finds other anomalies");
        }
        let lake_rows = rows.len() + self.lake.dead_letters(&self.profile.name).len();
        assert_eq!(lake_rows, self.records.len(), "I1: the lake does not hold every message");

        self.jobs.clear();
        self.begin_job().await;
        assert!(matches!(self.publish(true).await, None | Some(PublishOutcome::Published)));
        self.check("after the last publication").await;
        self.housekeep().await;
        self.check("after housekeeping").await;
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
