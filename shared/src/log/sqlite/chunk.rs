//! Messages packed into the body of a row: one row for a run of messages, as Kafka's record batches, because a row
//! a message costs more than the message.
//!
//! A body is its messages one after another, each in postcard, so that two bodies join by concatenation. It is part of
//! the file format (`FORMAT` in the schema).

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    log::{LogError, LogRecord, NewRecord},
    position::Offset,
};

/// A reader in the middle of a chunk unpacks it from the start, so a chunk stays near what one micro-batch takes.
const MOST_RECORDS: u32 = 1024;
/// Some tens of pages: large enough to read sequentially, small enough to write beside others.
const MOST_BYTES: usize = 256 << 10;

/// Consecutive messages of one partition. A message beyond the bounds is a chunk of its own.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) records: u32,
    pub(super) body: Vec<u8>,
}

/// One message inside a body.
#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    #[serde(borrow)]
    key: Option<Blob<'a>>,
    #[serde(borrow)]
    payload: Option<Blob<'a>>,
    #[serde(borrow)]
    headers: Vec<(&'a str, Blob<'a>)>,
}

/// Bytes that serde takes in one piece.
struct Blob<'a>(&'a [u8]);

impl Chunk {
    /// Whether `other` can be joined to this one.
    const fn has_room_for(&self, other: &Self) -> bool {
        self.records == 0
            || (self.records.saturating_add(other.records) <= MOST_RECORDS
                && self.body.len().saturating_add(other.body.len()) <= MOST_BYTES)
    }
}

/// Adds a chunk behind others, joining it to the last one where that stays within the bounds.
pub(super) fn join(chunks: &mut Vec<Chunk>, next: Chunk) {
    match chunks.last_mut() {
        Some(last) if last.has_room_for(&next) => {
            last.records += next.records;
            last.body.extend_from_slice(&next.body);
        }
        _ => chunks.push(next),
    }
}

/// Packs one message behind others.
///
/// # Errors
/// [`LogError::Unusable`] for a message that cannot be packed, which is a bug.
pub(super) fn pack(chunks: &mut Vec<Chunk>, record: &NewRecord) -> Result<(), LogError> {
    let packed = Packed {
        key: record.key.as_deref().map(Blob),
        payload: record.payload.as_deref().map(Blob),
        headers: record.headers.iter().map(|(name, value)| (name.as_str(), Blob(value))).collect(),
    };
    let expected = record.payload.as_ref().map_or(0, Bytes::len) + record.key.as_ref().map_or(0, Bytes::len);
    let mut chunk = match chunks.pop() {
        Some(last) if last.records < MOST_RECORDS && last.body.len() + expected <= MOST_BYTES => last,
        last => {
            chunks.extend(last);
            Chunk::default()
        }
    };
    chunk.body = postcard::to_extend(&packed, chunk.body)
        .map_err(|error| LogError::Unusable { reason: format!("a message cannot be packed: {error}") })?;
    chunk.records += 1;
    chunks.push(chunk);
    Ok(())
}

/// The messages of a body, in order. Keys and payloads share its memory.
pub(super) fn unpack(
    body: Bytes,
    first: Offset,
    timestamp: DateTime<Utc>,
) -> impl Iterator<Item = Result<LogRecord, LogError>> {
    let mut offset = first;
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = body.get(at..).filter(|rest| !rest.is_empty())?;
        let (packed, behind) = match postcard::take_from_bytes::<Packed<'_>>(rest) {
            Ok(taken) => taken,
            Err(error) => {
                at = body.len();
                let reason = format!("the message at offset {offset} cannot be unpacked: {error}");
                return Some(Err(LogError::Unusable { reason }));
            }
        };
        let share = |blob: Blob<'_>| body.slice_ref(blob.0);
        let headers = packed.headers.into_iter().map(|(name, value)| (name.to_owned(), share(value))).collect();
        let record =
            LogRecord { offset, key: packed.key.map(share), payload: packed.payload.map(share), headers, timestamp };
        at = body.len() - behind.len();
        offset = offset.plus(1);
        Some(Ok(record))
    })
}

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blob() -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
    }

    fn message() -> impl Strategy<Value = NewRecord> {
        let headers = proptest::collection::vec((".{0,8}", blob()), 0..3);
        (proptest::option::of(blob()), proptest::option::of(blob()), headers)
            .prop_map(|(key, payload, headers)| NewRecord { key, payload, headers })
    }

    proptest! {
        #[test]
        fn packing_joining_and_unpacking_gives_the_messages_back(
            calls in proptest::collection::vec(proptest::collection::vec(message(), 1..20), 1..6)
        ) {
            let mut joined = Vec::new();
            for call in &calls {
                let mut chunks = Vec::new();
                for record in call {
                    pack(&mut chunks, record).unwrap();
                }
                chunks.into_iter().for_each(|chunk| join(&mut joined, chunk));
            }
            let timestamp = DateTime::UNIX_EPOCH;
            let sent: Vec<&NewRecord> = calls.iter().flatten().collect();
            let mut first = Offset::new(17);
            let mut got = Vec::new();
            for chunk in joined {
                got.extend(unpack(Bytes::from(chunk.body), first, timestamp).map(Result::unwrap));
                first = first.plus(u64::from(chunk.records));
            }
            prop_assert_eq!(got.len(), sent.len());
            for (index, (got, sent)) in got.iter().zip(sent).enumerate() {
                prop_assert_eq!(got.offset, Offset::new(17 + index as u64));
                prop_assert_eq!((&got.key, &got.payload, &got.headers), (&sent.key, &sent.payload, &sent.headers));
            }
        }
    }

    #[test]
    fn a_chunk_keeps_its_bounds() {
        let mut chunks = Vec::new();
        let large = NewRecord { payload: Some(Bytes::from(vec![7; MOST_BYTES * 2])), ..NewRecord::default() };
        for _ in 0..MOST_RECORDS + 1 {
            pack(&mut chunks, &NewRecord::default()).unwrap();
        }
        pack(&mut chunks, &large).unwrap();
        pack(&mut chunks, &NewRecord::default()).unwrap();
        assert_eq!(chunks.iter().map(|chunk| chunk.records).collect::<Vec<_>>(), [MOST_RECORDS, 1, 1, 1]);
    }

    #[test]
    fn a_broken_body_is_an_error_and_not_a_message() {
        let mut chunks = Vec::new();
        pack(&mut chunks, &NewRecord { payload: Some(Bytes::from_static(b"whole")), ..NewRecord::default() }).unwrap();
        let mut body = chunks.remove(0).body;
        body.truncate(4);
        let unpacked: Vec<_> = unpack(Bytes::from(body), Offset::ZERO, DateTime::UNIX_EPOCH).collect();
        assert!(matches!(unpacked.as_slice(), [Err(LogError::Unusable { .. })]));
    }
}
