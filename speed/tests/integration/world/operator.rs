//! What happens on the day when log, lake and views do not fit together, and what an operator needs then.

use std::sync::Arc;

use kilowatch_shared::{
    checkpoint::{OffsetSpan, SourcePartition},
    lake::{SavedState, SegmentLake, memory::MemoryLake},
    position::Offset,
    views::PositionViews,
};
use kilowatch_speed::{
    SpeedConfig,
    member::{Doors, PhaseName, StopReason},
};

use super::{World, doors, tolerate};
use crate::stream::TOPIC;

impl World {
    pub fn doors(&self) -> Arc<Doors> {
        Arc::clone(&self.doors)
    }

    pub fn positions(&self) -> &dyn PositionViews {
        self.views.as_ref()
    }

    /// Steps a member until it waits for an operator.
    pub async fn until_stopped(&mut self, member: usize) -> StopReason {
        let worker = &mut self.members[member].worker;
        for _ in 0..10 {
            match worker.phase() {
                PhaseName::Idle => {
                    tolerate(worker.claim().await);
                }
                PhaseName::Claimed => {
                    tolerate(worker.check().await);
                }
                PhaseName::Stopped => return worker.stop_reason().unwrap().clone(),
                PhaseName::Checked | PhaseName::Running => break,
            }
        }
        panic!("nothing keeps the partition: {worker:?}");
    }

    /// A stopped member lets the partition go.
    pub async fn step_aside(&mut self, member: usize) {
        self.members[member].worker.step_aside().await.unwrap();
    }

    /// Retention drops messages, whoever needs them.
    pub fn expire_below(&self, low: Offset) {
        self.log.expire(&SourcePartition::from(&self.partition), low).unwrap();
    }

    /// These messages are in no layer any more.
    pub fn lose(&mut self, span: OffsetSpan) {
        self.records.retain(|record| record.offset < span.from || record.offset >= span.to);
        self.truth = None;
    }

    /// Marks of transactions behind the last message.
    pub fn leave_marks(&self, count: u64) {
        self.log.skip(&SourcePartition::from(&self.partition), count).unwrap();
    }

    pub async fn make_the_topic_again(&mut self) {
        self.log.recreate(TOPIC).unwrap();
    }

    /// What a test says of the outbox is all that is said of it.
    pub fn ignore_the_outbox(&mut self) {
        self.outbox_is_checked = false;
    }

    pub fn lake_as_it_is(&self) -> MemoryLake {
        self.lake.fork()
    }

    /// The lake comes back from a backup. Every member and job was stopped before.
    pub fn restore_lake(&mut self, backup: MemoryLake) {
        self.lake = Arc::new(backup);
        self.doors = doors(&self.log, &self.lake, &self.faulty, &self.views);
        self.jobs.clear();
        self.members = (0..2).map(|_| self.fresh_member()).collect();
    }

    /// The detectors' states that the lake keeps, newest first.
    pub async fn states(&self) -> Vec<SavedState> {
        self.lake.load_states(&self.partition, Offset::new(u64::MAX), usize::MAX).await.unwrap()
    }

    /// Nobody took these away when the lake went back.
    pub async fn put_states(&self, states: Vec<SavedState>) {
        for state in states {
            self.lake.save_state(&self.partition, &state).await.unwrap();
        }
    }

    /// Members that begin from now on save none.
    pub fn save_no_states(&mut self) {
        self.config = Arc::new(SpeedConfig { state_every_cuts: 1000, ..(*self.config).clone() });
    }

    /// No commit fails any more.
    pub fn forgive_lake(&self) {
        self.lake.no_more_faults();
    }
}
