//! Closes of several partitions in one commit, while the next owner closes the same partitions further.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use kilowatch_shared::{
    checkpoint::SourcePartition,
    clock::FixedClock,
    lake::{
        LakeTable, SegmentLake,
        memory::{CommitFault, MemoryLake},
    },
    log::{Log, NewRecord, memory::MemoryLog},
    position::{Offset, PartitionId, SourcePosition},
    retry::RetryHint,
    views::{BatchViews, SharedViews, SpeedViews, sqlite::SqliteViews},
};
use kilowatch_speed::{
    SpeedConfig,
    member::{Close, CloseOutcome, CutWish, Doors, PartitionWorker, Step},
};
use proptest::prelude::*;

use crate::stream::{Message, TOPIC, any_message, epoch, pin_variants, profile};

#[derive(Debug, Clone, Copy)]
enum Turn {
    Former,
    Next,
    Fail(CommitFault),
}

fn any_turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => Just(Turn::Former),
        4 => Just(Turn::Next),
        1 => Just(Turn::Fail(CommitFault::Lost)),
        1 => Just(Turn::Fail(CommitFault::AnswerLost)),
    ]
}

struct Scene {
    log: Arc<MemoryLog>,
    lake: Arc<MemoryLake>,
    doors: Arc<Doors>,
    partitions: Vec<PartitionId>,
}

impl Scene {
    async fn new() -> Self {
        let log = Arc::new(MemoryLog::new(Arc::new(FixedClock(epoch()))));
        log.create_topic(TOPIC, 2).await.unwrap();
        let lake = Arc::new(MemoryLake::new());
        let views: SharedViews = Arc::new(SqliteViews::in_memory().await.unwrap());
        let (speed, batch): (Arc<dyn SpeedViews>, Arc<dyn BatchViews>) = (views.clone(), views);
        let doors = Arc::new(Doors::new(log.clone(), lake.clone(), speed, batch));
        let source = log.source(TOPIC).await.unwrap();
        let partition = |partition| PartitionId { stream: profile().name, source: source.clone(), partition };
        Self { log, lake, doors, partitions: vec![partition(0), partition(1)] }
    }

    fn produce(&self, partition: &PartitionId, messages: &[Message]) {
        let records: Vec<NewRecord> = messages.iter().map(Message::to_record).collect();
        self.log.put(&SourcePartition::from(partition), &records).unwrap();
    }

    /// An owner of the partition that has applied all there is and cut behind it.
    async fn owner(&self, partition: &PartitionId) -> PartitionWorker {
        let config = Arc::new(SpeedConfig::default());
        let pins = pin_variants().remove(0);
        let mut worker = PartitionWorker::new(Arc::clone(&self.doors), config, partition.clone(), pins);
        worker.claim().await.unwrap();
        for step in [worker.check().await.unwrap(), worker.restore().await.unwrap()] {
            assert_eq!(step, Step::Done);
        }
        assert_eq!(worker.micro_batch(Duration::ZERO, CutWish::Cut).await.unwrap(), Step::Done);
        worker
    }

    /// What the owner of both partitions has to close, in one commit. `first` is the partition that leads.
    async fn close_of_both(&self, first: usize) -> Close {
        let mut parts = Vec::new();
        for partition in [&self.partitions[first], &self.partitions[1 - first]] {
            parts.push(self.owner(partition).await.begin_close().unwrap());
        }
        let second = parts.pop().unwrap();
        Close::new(Arc::clone(&self.doors), parts.pop().unwrap(), vec![second])
    }

    fn held(&self) -> Vec<SourcePosition> {
        let stream = profile().name;
        let readings = self.lake.readings(&stream).into_iter().map(|row| row.position);
        readings.chain(self.lake.dead_letters(&stream).into_iter().map(|row| row.position)).collect()
    }
}

/// A step that may meet an injected fault; none after the last one.
async fn step(close: &mut Close) {
    if close.outcomes().len() < 2
        && let Err(error) = close.step().await
    {
        assert_eq!(error.retry_hint(), RetryHint::WithBackoff, "{error}");
    }
}

async fn play(before: &[Vec<Message>; 2], after: &[Vec<Message>; 2], turns: &[Turn]) {
    let scene = Scene::new().await;
    for (partition, messages) in scene.partitions.iter().zip(before) {
        scene.produce(partition, messages);
    }
    let mut former = scene.close_of_both(0).await;
    for (partition, messages) in scene.partitions.iter().zip(after) {
        scene.produce(partition, messages);
    }
    let mut next = scene.close_of_both(1).await;

    let finish = [Turn::Former; 100].into_iter().chain([Turn::Next; 100]);
    for turn in turns.iter().copied().chain(finish) {
        match turn {
            Turn::Former => step(&mut former).await,
            Turn::Next => step(&mut next).await,
            Turn::Fail(fault) => scene.lake.fail_next_commit(fault),
        }
        let held = scene.held();
        assert_eq!(held.iter().collect::<BTreeSet<_>>().len(), held.len(), "I1: a message is twice in the lake");
    }
    let closed = scene.lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    for (at, partition) in scene.partitions.iter().enumerate() {
        let sent = |count: usize| Offset::new(count as u64);
        let (first_end, end) = (sent(before[at].len()), sent(before[at].len() + after[at].len()));
        assert_eq!(closed.closed_to(partition), Some(end));
        assert_eq!(next.outcomes()[partition], CloseOutcome::Closed(end));
        let CloseOutcome::Closed(formerly) = former.outcomes()[partition] else {
            panic!("the former close was dropped")
        };
        assert!(formerly == first_end || formerly == end, "{formerly} is the end of no close");
    }
    let sent: usize = before.iter().chain(after).map(Vec::len).sum();
    assert_eq!(scene.held().len(), sent, "I1: the lake does not hold every message");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_owners_that_close_the_same_partitions_bring_every_message_to_the_lake_once(
        before in prop::array::uniform2(prop::collection::vec(any_message(), 1..5)),
        after in prop::array::uniform2(prop::collection::vec(any_message(), 1..5)),
        turns in prop::collection::vec(any_turn(), 0..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(&before, &after, &turns));
    }
}
