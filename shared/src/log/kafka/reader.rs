//! One reader of one partition: a thread that polls librdkafka into a bounded buffer, from which reads take.
//!
//! The thread is the only one that moves the consumer, so that a message polled before a move is never taken for one
//! after it. It moves by assigning the partition with the offset set: a seek right after an assignment is lost.

use std::{
    collections::VecDeque,
    mem::size_of,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::BytesMut;
use chrono::DateTime;
use rdkafka::{
    Message, TopicPartitionList,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers},
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{
    config::KafkaConfig,
    error::{Meaning, meaning, translated},
    telemetry::Telemetry,
};
use crate::{
    log::{
        Fetched, LogError, LogRecord, ReadLimit,
        budget::{ReadBudget, weight},
    },
    position::Offset,
};

/// What waits in the buffer beyond librdkafka's own queue: a few micro-batches.
const BUFFER_BYTES: usize = 4 << 20;
/// How long a reader that was moved or dropped may go unnoticed by its thread.
const POLL: Duration = Duration::from_millis(20);
/// Messages that enter the buffer at once: often enough for latency, seldom enough for the lock.
const BATCH_RECORDS: usize = 512;
/// Memory that the keys and payloads of neighbouring messages share.
const ARENA_BYTES: usize = 64 << 10;

/// What ended a read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The broker does not have the offset.
    OutOfRange,
    /// The broker does not have the partition.
    Unknown,
    /// Anything else, translated.
    Log(LogError),
}

/// A handle on the thread; dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Tells reads that the buffer changed.
    filled: Notify,
    /// Tells the thread that there is room, a move or an end.
    wanted: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Where the buffer starts, unless the reader has to be moved before it is of use.
    head: Option<Offset>,
    records: VecDeque<LogRecord>,
    bytes: usize,
    /// Nothing is behind the buffer at the moment.
    at_end: bool,
    fault: Option<Fault>,
    /// Why the brokers cannot be reached; reading goes on by itself once they can.
    trouble: Option<String>,
    go_to: Option<Offset>,
    stop: bool,
    ended: bool,
}

impl Reader {
    /// Starts the thread of a reader that stands nowhere yet.
    pub(super) fn start(config: &KafkaConfig, topic: &str, partition: u32) -> Result<Self, LogError> {
        let shared = Arc::new(Shared { state: Mutex::default(), filled: Notify::new(), wanted: Condvar::new() });
        let thread = ReaderThread {
            config: config.clone(),
            topic: topic.to_owned(),
            partition: i32::try_from(partition).unwrap_or(i32::MAX),
            shared: shared.clone(),
            arena: BytesMut::new(),
        };
        std::thread::Builder::new()
            .name(format!("kafka-{partition}"))
            .spawn(move || thread.run())
            .map_err(|error| LogError::Unavailable { reason: format!("no thread for a Kafka reader: {error}") })?;
        Ok(Self { shared })
    }

    /// Where a read goes on without moving the reader.
    pub(super) fn head(&self) -> Option<Offset> {
        self.shared.lock().head
    }

    /// Whether the thread is still there.
    pub(super) fn is_alive(&self) -> bool {
        !self.shared.lock().ended
    }

    /// Drops what is buffered and reads on from `offset`.
    pub(super) fn move_to(&self, offset: Offset) {
        let mut state = self.shared.lock();
        let (stop, ended) = (state.stop, state.ended);
        *state = State { head: Some(offset), go_to: Some(offset), stop, ended, ..State::default() };
        drop(state);
        self.shared.wanted.notify_one();
    }

    /// Takes what is there at the head, waiting for the first message until `deadline`, or until `patience` if the
    /// brokers have not said yet that there is none.
    pub(super) async fn read(&self, limit: ReadLimit, deadline: Instant, patience: Instant) -> Result<Fetched, Fault> {
        loop {
            let filled = self.shared.filled.notified();
            tokio::pin!(filled);
            // Registered before looking, so that a message between the look and the wait is not slept through.
            filled.as_mut().enable();
            let until = {
                let mut state = self.shared.lock();
                if let Some(fetched) = state.take(limit)? {
                    drop(state);
                    self.shared.wanted.notify_one();
                    return Ok(fetched);
                }
                let until = if state.at_end { deadline } else { deadline.max(patience) };
                if until <= Instant::now() {
                    return state.nothing();
                }
                until
            };
            let _ = timeout_at(until, filled).await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wanted.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A read and the thread leave the state whole whenever they release it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What a read gets of the buffer; `None` if it has to wait.
    fn take(&mut self, limit: ReadLimit) -> Result<Option<Fetched>, Fault> {
        if let Some(first) = self.records.front() {
            let mut budget = ReadBudget::new(limit);
            if !budget.allows(first.offset) {
                // Whatever was below the bound is not delivered any more.
                let next = limit.before.unwrap_or(first.offset);
                self.head = Some(next);
                return Ok(Some(Fetched { records: Vec::new(), next }));
            }
            let mut records = Vec::new();
            while let Some(record) = self.records.front() {
                if !budget.allows(record.offset) || !budget.take(weight(record)) {
                    break;
                }
                self.bytes = self.bytes.saturating_sub(cost(record));
                records.extend(self.records.pop_front());
            }
            let next = records.last().map_or(Offset::ZERO, |record: &LogRecord| record.offset.plus(1));
            self.head = Some(next);
            return Ok(Some(Fetched { records, next }));
        }
        match self.fault.take() {
            None => Ok(None),
            Some(fault) => {
                // librdkafka stops fetching after it reported one: the next read has to assign again.
                self.head = None;
                Err(fault)
            }
        }
    }

    /// What a read gets that waited for nothing.
    fn nothing(&self) -> Result<Fetched, Fault> {
        match &self.trouble {
            Some(reason) => Err(Fault::Log(LogError::Unavailable { reason: reason.clone() })),
            None => Ok(Fetched { records: Vec::new(), next: self.head.unwrap_or_default() }),
        }
    }
}

struct ReaderThread {
    config: KafkaConfig,
    topic: String,
    partition: i32,
    shared: Arc<Shared>,
    arena: BytesMut,
}

/// What one round of polling brought.
#[derive(Default)]
struct Polled {
    records: Vec<LogRecord>,
    at_end: bool,
    fault: Option<Fault>,
    trouble: Option<String>,
}

impl ReaderThread {
    fn run(mut self) {
        let consumer: Result<BaseConsumer<Telemetry>, _> =
            BaseConsumer::from_config_and_context(&self.config.reader(), Telemetry);
        match consumer {
            Ok(consumer) => self.serve(&consumer),
            Err(error) => self.shared.lock().fault = Some(Fault::Log(translated(&error, &self.topic))),
        }
        self.shared.lock().ended = true;
        self.shared.filled.notify_waiters();
    }

    fn serve(&mut self, consumer: &BaseConsumer<Telemetry>) {
        while let Some(go_to) = self.next_turn() {
            let polled = match go_to.map(|offset| self.assign(consumer, offset)) {
                Some(Err(error)) => {
                    Polled { fault: Some(Fault::Log(translated(&error, &self.topic))), ..Polled::default() }
                }
                Some(Ok(())) | None => self.poll(consumer),
            };
            self.hand_over(polled);
        }
    }

    /// Waits for room in the buffer; `None` if the reader was dropped, else where it has to be moved to, if it has.
    fn next_turn(&self) -> Option<Option<Offset>> {
        let mut state = self.shared.lock();
        loop {
            if state.stop {
                return None;
            }
            if state.go_to.is_some() {
                return Some(state.go_to.take());
            }
            if state.head.is_some() && state.fault.is_none() && state.bytes < BUFFER_BYTES {
                return Some(None);
            }
            state = self.shared.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn assign(&self, consumer: &BaseConsumer<Telemetry>, offset: Offset) -> Result<(), KafkaError> {
        let mut assignment = TopicPartitionList::with_capacity(1);
        let offset = rdkafka::Offset::Offset(offset.as_i64());
        assignment.add_partition_offset(&self.topic, self.partition, offset)?;
        consumer.assign(&assignment)
    }

    fn poll(&mut self, consumer: &BaseConsumer<Telemetry>) -> Polled {
        let mut polled = Polled::default();
        let mut bytes = 0;
        let mut patience = POLL;
        while polled.records.len() < BATCH_RECORDS && bytes < BUFFER_BYTES {
            match consumer.poll(patience) {
                None => break,
                Some(Ok(message)) => {
                    let record = self.record(&message);
                    bytes += cost(&record);
                    polled.records.push(record);
                    polled.at_end = false;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    polled.at_end = true;
                    break;
                }
                Some(Err(error)) => {
                    (polled.fault, polled.trouble) = self.judge(&error);
                    break;
                }
            }
            // The first message is waited for, the next ones are taken as they lie.
            patience = Duration::ZERO;
        }
        polled
    }

    /// Which errors end a read, and which only delay it.
    fn judge(&self, error: &KafkaError) -> (Option<Fault>, Option<String>) {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::GroupAuthorizationFailed) {
            // No group is used, so reading goes on without a permission for it.
            return (None, None);
        }
        match code.map(meaning) {
            Some(Meaning::OutOfRange) => (Some(Fault::OutOfRange), None),
            Some(Meaning::Unknown) => (Some(Fault::Unknown), None),
            Some(Meaning::Refused) => (Some(Fault::Log(translated(error, &self.topic))), None),
            Some(Meaning::Passing) | None => (None, Some(format!("Kafka, topic `{}`: {error}", self.topic))),
        }
    }

    fn hand_over(&self, polled: Polled) {
        let mut state = self.shared.lock();
        if state.go_to.is_some() {
            // Moved meanwhile: all of this is from before.
            return;
        }
        if !polled.records.is_empty() || polled.at_end {
            state.at_end = polled.at_end;
            if state.trouble.take().is_some() {
                tracing::info!(kafka.topic = self.topic, kafka.partition = self.partition, "reading goes on");
            }
        }
        if let Some(reason) = polled.trouble {
            if state.trouble.is_none() {
                tracing::warn!(kafka.topic = self.topic, kafka.partition = self.partition, reason, "reading waits");
            }
            state.trouble = Some(reason);
        }
        state.bytes += polled.records.iter().map(cost).sum::<usize>();
        state.records.extend(polled.records);
        if polled.fault.is_some() {
            state.fault = polled.fault;
        }
        drop(state);
        self.shared.filled.notify_waiters();
    }

    fn record(&mut self, message: &BorrowedMessage<'_>) -> LogRecord {
        let mut copy = |bytes: &[u8]| {
            if self.arena.capacity() < bytes.len() {
                self.arena = BytesMut::with_capacity(ARENA_BYTES.max(bytes.len()));
            }
            self.arena.extend_from_slice(bytes);
            self.arena.split().freeze()
        };
        LogRecord {
            offset: Offset::new(message.offset().max(0).unsigned_abs()),
            key: message.key().map(&mut copy),
            payload: message.payload().map(&mut copy),
            headers: message.headers().map_or_else(Vec::new, |headers| {
                let header = |header: rdkafka::message::Header<'_, &[u8]>| {
                    (header.key.to_owned(), copy(header.value.unwrap_or_default()))
                };
                headers.iter().map(header).collect()
            }),
            // A topic in the oldest message format has no timestamps.
            timestamp: message.timestamp().to_millis().and_then(DateTime::from_timestamp_millis).unwrap_or_default(),
        }
    }
}

/// What a message takes of the buffer.
fn cost(record: &LogRecord) -> usize {
    weight(record) + size_of::<LogRecord>()
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    const LIMIT: ReadLimit = ReadLimit { records: 10, bytes: 1 << 20, before: None };

    #[tokio::test]
    async fn a_dropped_reader_ends_its_thread() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("energy", 1, 1).unwrap();
        let reader = Reader::start(&KafkaConfig::new(cluster.bootstrap_servers()), "energy", 0).unwrap();
        reader.move_to(Offset::ZERO);
        // Until the broker has said that there is nothing, so that the thread is in its loop.
        let patience = Instant::now() + Duration::from_secs(20);
        let fetched = reader.read(LIMIT, Instant::now(), patience).await.unwrap();
        assert_eq!((fetched.records, fetched.next), (Vec::new(), Offset::ZERO));
        let shared = Arc::downgrade(&reader.shared);
        drop(reader);
        tokio::time::timeout(Duration::from_secs(20), async {
            while shared.upgrade().is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("the thread outlives its reader");
    }

    #[test]
    fn a_buffer_that_starts_behind_the_bound_says_that_nothing_is_below_it() {
        let record = |offset| LogRecord {
            offset: Offset::new(offset),
            key: None,
            payload: None,
            headers: Vec::new(),
            timestamp: DateTime::UNIX_EPOCH,
        };
        let mut state = State { head: Some(Offset::new(4)), records: [record(9)].into(), ..State::default() };
        let bound = ReadLimit { before: Some(Offset::new(6)), ..LIMIT };
        let fetched = state.take(bound).unwrap().unwrap();
        assert_eq!((fetched.records.len(), fetched.next), (0, Offset::new(6)));
        let fetched = state.take(LIMIT).unwrap().unwrap();
        assert_eq!((fetched.records, fetched.next), (vec![record(9)], Offset::new(10)));
    }
}
