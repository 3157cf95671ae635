//! One member of a consumer group: a consumer that fetches nothing, polled by a thread of its own.
//!
//! Whoever polls runs the rebalance, and a rebalance waits until revoked partitions are released. So nothing else may
//! depend on this thread: the readers of the `pool` have consumers of their own, which belong to no group.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{self as blocking, RecvTimeoutError, SyncSender, TryRecvError},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rdkafka::{
    ClientContext, Offset as KafkaOffset, TopicPartitionList,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    config::KafkaConfig,
    error::{Meaning, meaning, translated},
    group_health::{GroupHealth, Verdict},
    security::in_our_words,
    telemetry::Telemetry,
};
use crate::{
    checkpoint::SourcePartition,
    log::{Change, LogError, Membership, Release},
    position::{Offset, SourceId},
};

/// How long a leave, or offsets to be told, may wait for the thread.
const POLL: Duration = Duration::from_millis(100);
/// A release waits for one transaction of the views, and these give up a lock after five seconds. Whoever takes longer
/// is fenced off by the next owner's claim, so the group need not wait any more.
const RELEASE_WITHIN: Duration = Duration::from_secs(20);
/// How long a leave waits for the coordinator before it is left to the session's end.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// Changes that are not taken yet. A revoke waits to be released, so there are never more than a few.
const CHANGES: usize = 16;

/// The handle on the thread; dropping it makes the thread leave the group.
#[derive(Debug)]
pub(super) struct GroupMember {
    changes: mpsc::Receiver<Result<Change, LogError>>,
    told: SyncSender<BTreeMap<SourcePartition, Offset>>,
    left: oneshot::Receiver<()>,
}

impl GroupMember {
    /// Joins in the background; partitions come as changes.
    pub(super) fn join(config: &KafkaConfig, group: &str, topic: &str, source: SourceId) -> Result<Self, LogError> {
        let (sender, changes) = mpsc::channel(CHANGES);
        // Only the newest offsets matter, and they come again.
        let (told, to_tell) = blocking::sync_channel(1);
        let (has_left, left) = oneshot::channel();
        let (client, name) = (config.member(group), topic.to_owned());
        let thread = move || {
            let context = Rebalancing { source, topic: name, changes: sender, health: Mutex::default() };
            serve(&client, context, &to_tell);
            // Nobody waits if the handle was dropped.
            let _dropped = has_left.send(());
        };
        std::thread::Builder::new()
            .name(format!("kafka-{group}"))
            .spawn(thread)
            .map_err(|error| LogError::Unavailable { reason: format!("no thread for a consumer group: {error}") })?;
        Ok(Self { changes, told, left })
    }
}

#[async_trait]
impl Membership for GroupMember {
    async fn next(&mut self) -> Result<Change, LogError> {
        let ended = || LogError::Unavailable { reason: "the thread of the consumer group has ended".to_owned() };
        self.changes.recv().await.unwrap_or_else(|| Err(ended()))
    }

    fn tell(&self, closed: &BTreeMap<SourcePartition, Offset>) {
        // A thread that is busy with a rebalance is told the next time.
        let _busy = self.told.try_send(closed.clone());
    }

    async fn leave(self: Box<Self>) {
        let Self { changes, told, left } = *self;
        drop((changes, told));
        if tokio::time::timeout(LEAVE_WITHIN, left).await.is_err() {
            tracing::warn!("the consumer group did not answer to a leave, it will notice by itself");
        }
    }
}

/// Polls until the handle is gone or the membership has ended.
fn serve(
    client: &rdkafka::ClientConfig,
    context: Rebalancing,
    to_tell: &blocking::Receiver<BTreeMap<SourcePartition, Offset>>,
) {
    let (changes, topic) = (context.changes.clone(), context.topic.clone());
    let end = |error: &KafkaError| {
        // Nobody listens if the handle was dropped.
        let _dropped = changes.blocking_send(Err(translated(error, &topic)));
    };
    let consumer = match BaseConsumer::from_config_and_context(client, context) {
        Ok(consumer) => consumer,
        Err(error) => return end(&error),
    };
    if let Err(error) = consumer.subscribe(&[&topic]) {
        return end(&error);
    }
    loop {
        match to_tell.try_recv() {
            Ok(closed) => commit(&consumer, &topic, &closed),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return,
        }
        match consumer.poll(POLL) {
            Some(Err(error)) if ends_membership(&error) => return end(&error),
            Some(Err(error)) => tracing::debug!(kafka.topic = topic, %error, "the consumer group waits"),
            // A message that came before its partition was paused is not for us to read.
            Some(Ok(_)) | None => {}
        }
    }
}

/// Errors that do not pass by themselves while the same consumer goes on.
fn ends_membership(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let refused = |code: RDKafkaErrorCode| {
        matches!(
            code,
            Code::GroupAuthorizationFailed
                | Code::InconsistentGroupProtocol
                | Code::InvalidGroupId
                | Code::InvalidSessionTimeout
                | Code::Fatal
        ) || meaning(code) == Meaning::Refused
    };
    matches!(error, KafkaError::MessageConsumptionFatal(_)) || error.rdkafka_error_code().is_some_and(refused)
}

/// For people only: whoever takes a partition over begins where the views say.
fn commit(consumer: &BaseConsumer<Rebalancing>, topic: &str, closed: &BTreeMap<SourcePartition, Offset>) {
    let mut offsets = TopicPartitionList::with_capacity(closed.len());
    for (partition, offset) in closed {
        let Ok(number) = i32::try_from(partition.partition) else { continue };
        if let Err(error) = offsets.add_partition_offset(topic, number, KafkaOffset::Offset(offset.as_i64())) {
            tracing::debug!(kafka.topic = topic, %error, "an offset cannot be told");
        }
    }
    if let Err(error) = consumer.commit(&offsets, CommitMode::Async) {
        tracing::debug!(kafka.topic = topic, %error, "Kafka was not told how far the lake is");
    }
}

/// What happens at a rebalance, on the thread that polls.
#[derive(Debug)]
struct Rebalancing {
    source: SourceId,
    topic: String,
    changes: mpsc::Sender<Result<Change, LogError>>,
    health: Mutex<GroupHealth>,
}

impl Rebalancing {
    fn assigned(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) -> Result<(), KafkaError> {
        // Nothing is read here, so the end is asked for, where nothing is to be had before the pause.
        let mut at_end = TopicPartitionList::with_capacity(partitions.count());
        for element in partitions.elements() {
            at_end.add_partition_offset(element.topic(), element.partition(), KafkaOffset::End)?;
        }
        consumer.incremental_assign(&at_end)?;
        if partitions.count() > 0 {
            consumer.pause(&at_end)?;
        }
        self.health().answered();
        self.send(Change::Assigned(self.ours(partitions)));
        Ok(())
    }

    /// Stands still until the partitions are released: only then the group may give them to another member.
    fn revoked(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) -> Result<(), KafkaError> {
        let ours = self.ours(partitions);
        if ours.is_empty() {
            return consumer.incremental_unassign(partitions);
        }
        if consumer.assignment_lost() {
            self.send(Change::Lost(ours));
        } else {
            let (held, released) = blocking::channel::<()>();
            self.send(Change::Revoked { partitions: ours, release: Release::new(move || drop(held)) });
            if let Err(RecvTimeoutError::Timeout) = released.recv_timeout(RELEASE_WITHIN) {
                let waited_ms = RELEASE_WITHIN.as_millis();
                tracing::warn!(kafka.topic = self.topic, waited_ms, "partitions were not released in time");
            }
        }
        consumer.incremental_unassign(partitions)
    }

    /// Returns at once if nobody listens any more.
    fn send(&self, change: Change) {
        let _gone = self.changes.blocking_send(Ok(change));
    }

    fn ours(&self, partitions: &TopicPartitionList) -> Vec<SourcePartition> {
        let ours = partitions.elements_for_topic(&self.topic);
        let numbers = ours.iter().filter_map(|element| u32::try_from(element.partition()).ok());
        numbers.map(|partition| SourcePartition { source: self.source.clone(), partition }).collect()
    }

    fn health(&self) -> MutexGuard<'_, GroupHealth> {
        // A complaint is kept and a report judged in one step each.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Rebalancing {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Telemetry.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // That all brokers are down is said after the reason why they are.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.health().complaint(in_our_words(reason), Instant::now());
        }
        Telemetry.error(error, reason);
    }

    fn stats_raw(&self, report: &[u8]) {
        let verdict = self.health().report(report, Instant::now());
        match verdict {
            Some(Verdict::Waits(reason)) => self.send(Change::Waiting { reason: format!("Kafka: {reason}") }),
            Some(Verdict::Answers) => self.send(Change::Assigned(Vec::new())),
            None => {}
        }
    }
}

impl ConsumerContext for Rebalancing {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let done = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, partitions),
            _ => self.revoked(consumer, partitions),
        };
        if let Err(error) = done {
            tracing::warn!(kafka.topic = self.topic, %error, "a rebalance went wrong, the next one will put it right");
        }
    }
}
