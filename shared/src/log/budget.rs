//! The bounds of a read, counted down.

use crate::{
    log::{LogRecord, ReadLimit},
    position::Offset,
};

/// Says of each next message whether the read still takes it.
#[derive(Debug)]
pub(super) struct ReadBudget {
    records: usize,
    bytes: usize,
    before: Option<Offset>,
    taken_any: bool,
}

impl ReadBudget {
    pub(super) const fn new(limit: ReadLimit) -> Self {
        Self { records: limit.records, bytes: limit.bytes, before: limit.before, taken_any: false }
    }

    /// Whether `offset` is below the read's upper end.
    pub(super) fn allows(&self, offset: Offset) -> bool {
        self.before.is_none_or(|before| offset < before)
    }

    /// Takes a message of this many bytes, or says that the read is full. The first message is always taken, so that
    /// a reader with small bounds still gets past a large one.
    pub(super) const fn take(&mut self, bytes: usize) -> bool {
        if self.taken_any && (self.records == 0 || self.bytes < bytes) {
            return false;
        }
        self.taken_any = true;
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }
}

/// What a message counts against [`ReadLimit::bytes`].
pub(super) fn weight(record: &LogRecord) -> usize {
    weight_of(record.key.as_deref(), record.payload.as_deref())
}

/// The same of a message that is not a record yet.
pub(super) fn weight_of(key: Option<&[u8]>, payload: Option<&[u8]>) -> usize {
    key.map_or(0, <[u8]>::len) + payload.map_or(0, <[u8]>::len)
}
