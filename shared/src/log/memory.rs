//! The log in memory: the twin that other tests lean on. Same promises as the real ones, and controls for what a
//! real log does to its readers: retention, gaps, a topic that was made again, an outage.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use tokio::{sync::Notify, time::Instant};

use super::{
    Fetched, Log, LogError, LogRecord, Membership, NewRecord, ReadLimit, Watermarks,
    budget::{ReadBudget, weight},
    membership::coordinator::Coordinator,
    partitioner::partition_of,
    topic::check_name,
};
use crate::{
    checkpoint::SourcePartition,
    clock::SharedClock,
    position::{Offset, SourceId, SourcePosition},
};

/// A log that lives as long as the value. Its sources are `log:memory:<topic>`, equal in every run.
#[derive(Debug)]
pub struct MemoryLog {
    clock: SharedClock,
    state: Mutex<State>,
    changed: Notify,
    groups: Coordinator,
}

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<SourceId, Vec<Partition>>,
    outage: Option<String>,
}

#[derive(Debug, Default)]
struct Partition {
    records: VecDeque<LogRecord>,
    low: Offset,
    high: Offset,
}

impl MemoryLog {
    /// An empty log that stamps messages with `clock`.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, state: Mutex::default(), changed: Notify::new(), groups: Coordinator::default() }
    }

    /// Control: from now on every call fails with [`LogError::Unavailable`], until [`Self::recover`].
    pub fn fail(&self, reason: &str) {
        self.state().outage = Some(reason.to_owned());
        self.changed.notify_waiters();
    }

    /// Control: ends the outage.
    pub fn recover(&self) {
        self.state().outage = None;
        self.changed.notify_waiters();
    }

    /// Control: puts messages into one partition, whatever their keys; returns the offset of the first one.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    pub fn put(&self, partition: &SourcePartition, records: &[NewRecord]) -> Result<Offset, LogError> {
        let now = self.now();
        let mut state = self.state();
        let target = state.partition_mut(partition)?;
        let first = target.high;
        for record in records {
            target.push(record, now);
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(first)
    }

    /// Control: leaves `count` offsets without a message, as control records and compaction do in Kafka.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    pub fn skip(&self, partition: &SourcePartition, count: u64) -> Result<(), LogError> {
        let mut state = self.state();
        let target = state.partition_mut(partition)?;
        target.high = target.high.plus(count);
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Control: retention that asks nobody; the low watermark becomes `low` (at most the high one).
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    pub fn expire(&self, partition: &SourcePartition, low: Offset) -> Result<(), LogError> {
        self.state().partition_mut(partition)?.drop_below(low);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Control: the topic is deleted and made again with as many partitions, under the same source, as happens in
    /// Kafka when nobody raises the generation.
    ///
    /// # Errors
    /// [`LogError::UnknownTopic`].
    pub fn recreate(&self, topic: &str) -> Result<(), LogError> {
        let source = source_of(topic)?;
        let mut state = self.state();
        let partitions =
            state.topics.get_mut(&source).ok_or_else(|| LogError::UnknownTopic { topic: topic.to_owned() })?;
        partitions.iter_mut().for_each(|partition| *partition = Partition::default());
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Control: the topic gets more partitions, while its readers run.
    ///
    /// # Errors
    /// [`LogError::UnknownTopic`].
    pub fn add_partitions(&self, topic: &str, count: u32) -> Result<(), LogError> {
        let source = source_of(topic)?;
        let mut state = self.state();
        let partitions =
            state.topics.get_mut(&source).ok_or_else(|| LogError::UnknownTopic { topic: topic.to_owned() })?;
        partitions.extend((0..count).map(|_| Partition::default()));
        let all = ids(&source, partitions);
        drop(state);
        self.groups.grow(topic, &all);
        Ok(())
    }

    /// Control: the topic's groups take their first member for dead, although it is not.
    pub fn expel_first_member(&self, topic: &str) {
        self.groups.expel_first(topic);
    }

    /// Control: the topic's groups answer none of their members, for this reason; with `None` they answer again.
    pub fn silence_groups(&self, topic: &str, reason: Option<&str>) {
        self.groups.silence(topic, reason);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below is complete before the lock is released, so a poisoned state is still a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reachable(&self) -> Result<MutexGuard<'_, State>, LogError> {
        let state = self.state();
        match &state.outage {
            None => Ok(state),
            Some(reason) => Err(LogError::Unavailable { reason: reason.clone() }),
        }
    }

    /// As precise as the embedded log keeps it.
    fn now(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn create_topic(&self, topic: &str, partitions: u32) -> Result<(), LogError> {
        check_name(topic)?;
        let source = source_of(topic)?;
        let made = || (0..partitions.max(1)).map(|_| Partition::default()).collect();
        self.reachable()?.topics.entry(source).or_insert_with(made);
        Ok(())
    }

    async fn source(&self, topic: &str) -> Result<SourceId, LogError> {
        let source = source_of(topic)?;
        if self.reachable()?.topics.contains_key(&source) {
            Ok(source)
        } else {
            Err(LogError::UnknownTopic { topic: topic.to_owned() })
        }
    }

    async fn partitions(&self, topic: &str) -> Result<Vec<SourcePartition>, LogError> {
        let source = source_of(topic)?;
        let state = self.reachable()?;
        let found = state.topics.get(&source).ok_or_else(|| LogError::UnknownTopic { topic: topic.to_owned() })?;
        Ok(ids(&source, found))
    }

    async fn watermarks(&self, partition: &SourcePartition) -> Result<Watermarks, LogError> {
        Ok(self.reachable()?.partition(partition)?.watermarks())
    }

    async fn read(
        &self,
        partition: &SourcePartition,
        from: Offset,
        limit: ReadLimit,
        wait: Duration,
    ) -> Result<Fetched, LogError> {
        let deadline = Instant::now() + wait;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that a message between the look and the wait is not slept through.
            changed.as_mut().enable();
            let fetched = self.reachable()?.partition(partition)?.fetch(partition, from, limit)?;
            let bounded = limit.before.is_some_and(|before| before <= from);
            if fetched.next != from || bounded || tokio::time::timeout_at(deadline, changed).await.is_err() {
                return Ok(fetched);
            }
        }
    }

    async fn append(&self, topic: &str, records: &[NewRecord]) -> Result<Vec<SourcePosition>, LogError> {
        let source = source_of(topic)?;
        let now = self.now();
        let mut state = self.reachable()?;
        let partitions =
            state.topics.get_mut(&source).ok_or_else(|| LogError::UnknownTopic { topic: topic.to_owned() })?;
        let count = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
        let mut positions = Vec::with_capacity(records.len());
        for record in records {
            let partition = partition_of(record.key.as_deref(), count);
            if let Some(target) = partitions.get_mut(partition as usize) {
                let offset = target.push(record, now);
                positions.push(SourcePosition { source: source.clone(), partition, offset });
            }
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(positions)
    }

    async fn join(&self, group: &str, topic: &str) -> Result<Box<dyn Membership>, LogError> {
        Ok(self.groups.join(group, topic, self.partitions(topic).await?))
    }

    async fn trim(&self, partition: &SourcePartition, below: Offset, before: DateTime<Utc>) -> Result<u64, LogError> {
        let mut state = self.reachable()?;
        let target = state.partition_mut(partition)?;
        // Only a prefix goes, so a message that came with an older timestamp behind a younger one stays.
        let keep = target.records.iter().find(|record| record.timestamp >= before).map_or(target.high, |r| r.offset);
        Ok(target.drop_below(keep.min(below)))
    }
}

impl State {
    fn partition(&self, id: &SourcePartition) -> Result<&Partition, LogError> {
        let partitions = self.topics.get(&id.source);
        partitions
            .and_then(|partitions| partitions.get(id.partition as usize))
            .ok_or_else(|| LogError::UnknownPartition { partition: id.clone() })
    }

    fn partition_mut(&mut self, id: &SourcePartition) -> Result<&mut Partition, LogError> {
        let partitions = self.topics.get_mut(&id.source);
        partitions
            .and_then(|partitions| partitions.get_mut(id.partition as usize))
            .ok_or_else(|| LogError::UnknownPartition { partition: id.clone() })
    }
}

impl Partition {
    const fn watermarks(&self) -> Watermarks {
        Watermarks { low: self.low, high: self.high }
    }

    fn push(&mut self, record: &NewRecord, timestamp: DateTime<Utc>) -> Offset {
        let offset = self.high;
        self.records.push_back(LogRecord {
            offset,
            key: record.key.clone(),
            payload: record.payload.clone(),
            headers: record.headers.clone(),
            timestamp,
        });
        self.high = offset.plus(1);
        offset
    }

    fn fetch(&self, id: &SourcePartition, from: Offset, limit: ReadLimit) -> Result<Fetched, LogError> {
        if from < self.low || from > self.high {
            return Err(LogError::OutOfRange { partition: id.clone(), asked: from, watermarks: self.watermarks() });
        }
        let mut budget = ReadBudget::new(limit);
        let mut records = Vec::new();
        let start = self.records.partition_point(|record| record.offset < from);
        for record in self.records.range(start..) {
            if !budget.allows(record.offset) {
                break;
            }
            if !budget.take(weight(record)) {
                return Ok(Fetched { records, next: record.offset });
            }
            records.push(record.clone());
        }
        let end = limit.before.map_or(self.high, |before| before.min(self.high));
        Ok(Fetched { records, next: end.max(from) })
    }

    fn drop_below(&mut self, low: Offset) -> u64 {
        self.low = self.low.max(low.min(self.high));
        let gone = self.records.partition_point(|record| record.offset < self.low);
        self.records.drain(..gone);
        gone as u64
    }
}

fn ids(source: &SourceId, partitions: &[Partition]) -> Vec<SourcePartition> {
    (0..).zip(partitions).map(|(partition, _)| SourcePartition { source: source.clone(), partition }).collect()
}

fn source_of(topic: &str) -> Result<SourceId, LogError> {
    SourceId::parse(&format!("log:memory:{topic}"))
        .map_err(|invalid| LogError::Unusable { reason: invalid.to_string() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{clock::SystemClock, log::Change};

    const LIMIT: ReadLimit = ReadLimit { records: 10, bytes: 1 << 20, before: None };

    async fn one_partition() -> (MemoryLog, SourcePartition) {
        let log = MemoryLog::new(Arc::new(SystemClock));
        log.create_topic("energy", 1).await.unwrap();
        let partition = log.partitions("energy").await.unwrap().remove(0);
        (log, partition)
    }

    #[tokio::test]
    async fn a_member_that_was_taken_for_dead_hears_of_it_and_may_come_back() {
        let log = MemoryLog::new(Arc::new(SystemClock));
        log.create_topic("energy", 2).await.unwrap();
        let all = log.partitions("energy").await.unwrap();
        let mut zombie = log.join("readers", "energy").await.unwrap();
        assert!(matches!(zombie.next().await.unwrap(), Change::Assigned(got) if got == all));
        log.expel_first_member("energy");
        let mut other = log.join("readers", "energy").await.unwrap();
        assert!(matches!(other.next().await.unwrap(), Change::Assigned(got) if got == all));
        assert!(matches!(zombie.next().await.unwrap(), Change::Lost(got) if got == all));
        let Change::Revoked { partitions, release } = other.next().await.unwrap() else { panic!("nothing comes back") };
        drop(release);
        assert!(matches!(zombie.next().await.unwrap(), Change::Assigned(got) if got == partitions));
    }

    #[tokio::test]
    async fn a_partition_that_is_added_to_a_topic_finds_a_reader() {
        let (log, partition) = one_partition().await;
        let mut member = log.join("readers", "energy").await.unwrap();
        assert!(matches!(member.next().await.unwrap(), Change::Assigned(got) if got == [partition]));
        log.add_partitions("energy", 2).unwrap();
        let added = log.partitions("energy").await.unwrap().split_off(1);
        assert!(matches!(member.next().await.unwrap(), Change::Assigned(got) if got == added));
    }

    #[tokio::test]
    async fn an_outage_fails_every_call_until_it_ends() {
        let (log, partition) = one_partition().await;
        log.fail("the test says so");
        let read = log.read(&partition, Offset::ZERO, LIMIT, Duration::from_secs(60)).await;
        assert!(matches!(read, Err(LogError::Unavailable { .. })));
        assert!(matches!(log.append("energy", &[]).await, Err(LogError::Unavailable { .. })));
        log.recover();
        assert_eq!(log.watermarks(&partition).await.unwrap().high, Offset::ZERO);
    }

    #[tokio::test]
    async fn a_read_passes_a_gap() {
        let (log, partition) = one_partition().await;
        log.put(&partition, &[NewRecord::default()]).unwrap();
        log.skip(&partition, 3).unwrap();
        let fetched = log.read(&partition, Offset::new(1), LIMIT, Duration::from_secs(60)).await.unwrap();
        assert_eq!((fetched.records.len(), fetched.next), (0, Offset::new(4)));
        assert_eq!(log.put(&partition, &[NewRecord::default()]).unwrap(), Offset::new(4));
    }

    #[tokio::test]
    async fn a_recreated_topic_counts_from_zero_under_its_old_source() {
        let (log, partition) = one_partition().await;
        log.put(&partition, &[NewRecord::default(), NewRecord::default()]).unwrap();
        log.expire(&partition, Offset::new(1)).unwrap();
        assert_eq!(log.watermarks(&partition).await.unwrap().low, Offset::new(1));
        log.recreate("energy").unwrap();
        let fresh = Watermarks { low: Offset::ZERO, high: Offset::ZERO };
        assert_eq!(log.watermarks(&partition).await.unwrap(), fresh);
        assert_eq!(log.source("energy").await.unwrap(), partition.source);
    }
}
