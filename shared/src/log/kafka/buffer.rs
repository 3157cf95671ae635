//! What waits between the thread that polls Kafka and the reads that take.

use std::{
    collections::VecDeque,
    mem::{self, size_of},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;

use crate::{
    log::{
        Fetched, LogError, LogRecord, ReadLimit,
        budget::{ReadBudget, weight},
    },
    position::Offset,
};

/// The most that is buffered beyond librdkafka's own queue: a few micro-batches.
const BUFFER_BYTES: usize = 4 << 20;

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

#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// Tells reads that the buffer changed.
    pub(super) filled: Notify,
    /// Tells the thread that there is room, a move or an end.
    pub(super) wanted: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Where the buffer starts, unless the reader has to be moved before it is of use.
    pub(super) head: Option<Offset>,
    pub(super) records: VecDeque<LogRecord>,
    pub(super) bytes: usize,
    /// Nothing is behind the buffer at the moment.
    pub(super) at_end: bool,
    pub(super) fault: Option<Fault>,
    /// Why the brokers cannot be reached; reading goes on by itself once they can.
    pub(super) trouble: Option<String>,
    pub(super) go_to: Option<Offset>,
    /// Since when nobody reads.
    pub(super) idle_since: Option<Instant>,
    pub(super) stop: bool,
    pub(super) ended: bool,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A read and the thread leave the state whole whenever they release it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the thread may poll for more.
    pub(super) const fn has_room(&self) -> bool {
        self.head.is_some() && self.fault.is_none() && self.bytes < BUFFER_BYTES
    }

    /// Gives the memory of the messages back, as nobody will read them.
    pub(super) fn give_back(&mut self) {
        (self.records, self.bytes) = (VecDeque::new(), 0);
    }

    /// What a read gets of the buffer; `None` if it has to wait.
    pub(super) fn take(&mut self, limit: ReadLimit) -> Result<Option<Fetched>, Fault> {
        if let Some(first) = self.records.front() {
            let mut budget = ReadBudget::new(limit);
            if !budget.allows(first.offset) {
                // Whatever was below the bound is not delivered any more.
                let next = limit.before.unwrap_or(first.offset);
                self.head = Some(next);
                return Ok(Some(Fetched { records: Vec::new(), next }));
            }
            if self.fits(limit) {
                let records = Vec::from(mem::take(&mut self.records));
                let next = records.last().map_or(Offset::ZERO, |record| record.offset.plus(1));
                (self.bytes, self.head) = (0, Some(next));
                return Ok(Some(Fetched { records, next }));
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

    /// Whether one read takes all that is there, as it mostly does while a backlog is worked off.
    fn fits(&self, limit: ReadLimit) -> bool {
        let count = self.records.len();
        count <= limit.records
            && self.bytes <= limit.bytes.saturating_add(count * size_of::<LogRecord>())
            && self.records.back().is_none_or(|last| limit.before.is_none_or(|before| last.offset < before))
    }

    /// What a read gets that waited for nothing.
    pub(super) fn nothing(&self) -> Result<Fetched, Fault> {
        match &self.trouble {
            Some(reason) => Err(Fault::Log(LogError::Unavailable { reason: reason.clone() })),
            None => Ok(Fetched { records: Vec::new(), next: self.head.unwrap_or_default() }),
        }
    }
}

/// What a message takes of the buffer.
pub(super) fn cost(record: &LogRecord) -> usize {
    weight(record) + size_of::<LogRecord>()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const LIMIT: ReadLimit = ReadLimit { records: 10, bytes: 1 << 20, before: None };

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
        let fetched = state.take(ReadLimit { bytes: usize::MAX, ..LIMIT }).unwrap().unwrap();
        assert_eq!((fetched.records, fetched.next), (vec![record(9)], Offset::new(10)));
    }
}
