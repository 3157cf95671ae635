//! The bounds of a read, counted down.

use bytes::Bytes;

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
    let headers = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    [&record.key, &record.payload].into_iter().flatten().map(Bytes::len).sum::<usize>() + headers
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_message_weighs_its_headers_as_well() {
        let record = LogRecord {
            offset: Offset::ZERO,
            key: Some(Bytes::from_static(b"key")),
            payload: None,
            headers: vec![("name".to_owned(), Bytes::from(vec![0; 1000]))],
            timestamp: DateTime::UNIX_EPOCH,
        };
        assert_eq!(weight(&record), 3 + 4 + 1000);
    }
}
