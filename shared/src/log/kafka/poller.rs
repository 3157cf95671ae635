//! The thread that polls one partition into its buffer.
//!
//! It is the only one that moves the consumer, so that a message polled before a move is never taken for one after it.
//! It moves by assigning the partition with the offset set: a seek right after an assignment is lost.

use std::{
    sync::{Arc, PoisonError},
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

use super::{
    buffer::{Fault, Shared, cost},
    config::KafkaConfig,
    error::{Meaning, meaning, translated},
    prefetched::Prefetched,
    telemetry::Telemetry,
};
use crate::{log::LogRecord, position::Offset};

/// How long a reader that was moved or dropped may go unnoticed by its thread.
const POLL: Duration = Duration::from_millis(20);
/// Messages that enter the buffer at once: often enough for latency, seldom enough for the lock.
const BATCH_RECORDS: usize = 512;
/// The same in bytes; the buffer may go over its bound by this much.
const BATCH_BYTES: usize = 1 << 20;
/// Memory that the keys and payloads of neighbouring messages share.
const ARENA_BYTES: usize = 64 << 10;

/// What the thread works with.
pub(super) struct Poller {
    pub(super) config: KafkaConfig,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) shared: Arc<Shared>,
    /// Nobody reads for so long, and it ends.
    pub(super) kept_for: Duration,
    /// Where keys and payloads are copied to.
    pub(super) arena: BytesMut,
    /// What waits in the buffer, for people.
    pub(super) prefetched: Prefetched,
}

/// What one round of polling brought.
#[derive(Default)]
struct Polled {
    records: Vec<LogRecord>,
    at_end: bool,
    fault: Option<Fault>,
    trouble: Option<String>,
}

impl Poller {
    /// Serves until the reader is dropped, or idle for too long.
    pub(super) fn run(mut self) {
        let consumer: Result<BaseConsumer<Telemetry>, _> =
            BaseConsumer::from_config_and_context(&self.config.reader(), Telemetry);
        match consumer {
            Ok(consumer) => self.serve(&consumer),
            Err(error) => self.end_with(Fault::Log(translated(&error, &self.topic))),
        }
        let mut state = self.shared.lock();
        state.ended = true;
        state.give_back();
        self.prefetched.is(state.bytes);
        drop(state);
        self.shared.filled.notify_waiters();
    }

    /// In one step, so that a move finds either a reader that will notice it or one that has ended.
    fn end_with(&self, fault: Fault) {
        let mut state = self.shared.lock();
        (state.fault, state.ended) = (Some(fault), true);
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

    /// Waits for room in the buffer; `None` if this is the end, else where the reader has to be moved to, if it has.
    fn next_turn(&mut self) -> Option<Option<Offset>> {
        let mut state = self.shared.lock();
        loop {
            self.prefetched.is(state.bytes);
            let idle = state.idle_since.map(|since| since.elapsed());
            if state.stop || idle.is_some_and(|idle| idle >= self.kept_for) {
                // At once: whoever takes the reader from now on finds that it has ended.
                state.ended = true;
                return None;
            }
            if state.go_to.is_some() {
                return Some(state.go_to.take());
            }
            if state.has_room() {
                return Some(None);
            }
            let patience = self.kept_for.saturating_sub(idle.unwrap_or_default());
            state = self.shared.wanted.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0;
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
        while polled.records.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
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
