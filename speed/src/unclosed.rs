//! Rows on their way to the lake: one segment after another, within a memory cap.

use std::{collections::VecDeque, mem};

use kilowatch_shared::{
    checkpoint::OffsetSpan,
    dead_letter::DeadLetter,
    position::Offset,
    reading::{FoldedReading, ReadingColumns},
};

/// What a run of messages brings to the lake.
#[derive(Debug, Default)]
pub struct Rows {
    /// The readings, in offset order, duplicates included.
    pub readings: ReadingColumns,
    /// The messages that became none, in offset order.
    pub dead_letters: Vec<DeadLetter>,
}

impl Rows {
    /// Adds a reading, and gives the number of its device.
    pub fn push_reading(&mut self, reading: &FoldedReading) -> u32 {
        self.readings.push(reading)
    }

    /// Adds a dead letter.
    pub fn push_dead_letter(&mut self, letter: DeadLetter) {
        self.dead_letters.push(letter);
    }

    /// Adds rows that come after these.
    pub fn append(&mut self, mut later: Self) {
        self.readings.append(later.readings);
        self.dead_letters.append(&mut later.dead_letters);
    }

    /// About how many bytes they take in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let letter = |letter: &DeadLetter| {
            size_of::<DeadLetter>()
                + letter.raw.len()
                + letter.reason.len()
                + letter.key.as_ref().map_or(0, |key| key.len())
        };
        self.readings.bytes() + self.dead_letters.iter().map(letter).sum::<usize>()
    }

    /// Drops rows of offsets below `offset`.
    pub fn drop_below(&mut self, offset: Offset) {
        self.readings.drop_below(offset);
        if self.dead_letters.first().is_some_and(|row| row.position.offset < offset) {
            self.dead_letters.retain(|row| row.position.offset >= offset);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.readings.len() + self.dead_letters.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Consecutive segments from L to A; the last one is open.
#[derive(Debug)]
pub struct Unclosed {
    from: Offset,
    sealed: VecDeque<SealedSegment>,
    open: Option<Rows>,
    open_messages: usize,
    open_bytes: usize,
    kept_bytes: usize,
    cap_bytes: usize,
}

#[derive(Debug)]
struct SealedSegment {
    to: Offset,
    rows: Option<Rows>,
    messages: usize,
    bytes: usize,
}

/// How much goes to the lake in one close.
#[derive(Debug, Clone, Copy)]
pub struct CloseLimit {
    /// Messages.
    pub messages: usize,
    /// Bytes that are not in memory yet, because they are read from the log again.
    pub bytes: usize,
}

/// A run of sealed segments to be closed at once.
#[derive(Debug)]
pub struct Closable {
    /// From L to a cut.
    pub span: OffsetSpan,
    /// Their rows; `None` if they were dropped and have to be read from the log again.
    pub rows: Option<Rows>,
    /// About how many bytes the rows take in memory, now or once they were read again.
    pub bytes: usize,
}

impl Unclosed {
    /// Nothing yet, from `from` on.
    #[must_use]
    pub fn new(from: Offset, cap_bytes: usize) -> Self {
        let open = Some(Rows::default());
        Self { from, sealed: VecDeque::new(), open, open_messages: 0, open_bytes: 0, kept_bytes: 0, cap_bytes }
    }

    /// The first offset that is not on its way to the lake.
    #[must_use]
    pub const fn begins(&self) -> Offset {
        self.from
    }

    /// Adds what `messages` messages of the open segment became. Over the cap the segment's rows are dropped, and so
    /// is all that comes until its cut: half a segment is of no use to a close.
    pub fn extend(&mut self, rows: Rows, messages: usize) {
        let bytes = rows.bytes();
        self.open_messages += messages;
        self.open_bytes += bytes;
        let Some(open) = &mut self.open else { return };
        if self.kept_bytes + bytes > self.cap_bytes {
            self.kept_bytes -= open.bytes();
            self.open = None;
        } else {
            self.kept_bytes += bytes;
            open.append(rows);
        }
    }

    /// Ends the open segment at a recorded cut and opens the next one.
    pub fn seal(&mut self, to: Offset) {
        let begins = self.sealed.back().map_or(self.from, |segment| segment.to);
        if to > begins {
            let rows = self.open.replace(Rows::default());
            let (messages, bytes) = (mem::take(&mut self.open_messages), mem::take(&mut self.open_bytes));
            self.sealed.push_back(SealedSegment { to, rows, messages, bytes });
        }
    }

    /// Takes the oldest sealed segments, as many as the limit allows and end at or below `before`, at least one. Those
    /// in memory and those that were dropped do not go together.
    pub fn take_closable(&mut self, limit: CloseLimit, before: Option<Offset>) -> Option<Closable> {
        let mut taken = self.sealed.pop_front()?;
        let fits = |taken: &SealedSegment, next: &SealedSegment| {
            before.is_none_or(|before| next.to <= before)
                && taken.rows.is_some() == next.rows.is_some()
                && taken.messages + next.messages <= limit.messages
                && (taken.rows.is_some() || taken.bytes + next.bytes <= limit.bytes)
        };
        while let Some(next) = self.sealed.pop_front_if(|next| fits(&taken, next)) {
            taken.append(next);
        }
        let kept = taken.rows.as_ref().map(Rows::bytes);
        self.kept_bytes -= kept.unwrap_or(0);
        let span = OffsetSpan { from: self.from, to: taken.to };
        self.from = taken.to;
        Some(Closable { span, rows: taken.rows, bytes: kept.unwrap_or(taken.bytes) })
    }

    /// Segments that end at a cut and are not on their way yet.
    #[must_use]
    pub fn sealed_segments(&self) -> usize {
        self.sealed.len()
    }

    /// Bytes of the rows that are kept, of all segments together.
    #[must_use]
    pub const fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Messages of the open segment.
    #[must_use]
    pub const fn open_messages(&self) -> usize {
        self.open_messages
    }

    /// Bytes of the open segment's rows, whether they are kept or dropped: a close has to hold them all.
    #[must_use]
    pub const fn open_bytes(&self) -> usize {
        self.open_bytes
    }
}

impl SealedSegment {
    /// Adds the segment that follows.
    fn append(&mut self, next: Self) {
        self.to = next.to;
        self.messages += next.messages;
        self.bytes += next.bytes;
        if let (Some(rows), Some(more)) = (&mut self.rows, next.rows) {
            rows.append(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use kilowatch_shared::position::{SourceId, SourcePosition};

    use super::*;

    fn rows(offsets: std::ops::Range<u64>) -> Rows {
        let mut rows = Rows::default();
        for offset in offsets {
            let source = SourceId::parse("log:test").unwrap();
            rows.push_dead_letter(DeadLetter {
                position: SourcePosition { source, partition: 0, offset: Offset::new(offset) },
                key: None,
                raw: bytes::Bytes::from_static(b"x"),
                reason: String::new(),
                seen_at: DateTime::UNIX_EPOCH,
            });
        }
        rows
    }

    fn bytes_of(messages: u64) -> usize {
        rows(0..messages).bytes()
    }

    /// Room for everything.
    const ALL: CloseLimit = CloseLimit { messages: usize::MAX, bytes: usize::MAX };

    /// Where the parts begin and end, and how many rows are in memory.
    fn parts(unclosed: &mut Unclosed, limit: CloseLimit) -> Vec<(u64, u64, Option<usize>)> {
        std::iter::from_fn(|| unclosed.take_closable(limit, None))
            .map(|part| (part.span.from.get(), part.span.to.get(), part.rows.map(|rows| rows.len())))
            .collect()
    }

    /// Segments of ten messages each.
    fn segments_of_ten(count: u64, cap_bytes: usize) -> Unclosed {
        let mut unclosed = Unclosed::new(Offset::ZERO, cap_bytes);
        for step in 0..count {
            unclosed.extend(rows(step * 10..step * 10 + 10), 10);
            unclosed.seal(Offset::new(step * 10 + 10));
        }
        unclosed
    }

    #[test]
    fn a_segment_over_the_cap_is_dropped_whole_and_the_ones_before_and_after_it_are_kept() {
        let mut unclosed = Unclosed::new(Offset::ZERO, bytes_of(5));
        unclosed.extend(rows(0..2), 2);
        unclosed.seal(Offset::new(2));
        unclosed.extend(rows(2..4), 2);
        unclosed.extend(rows(4..8), 4);
        unclosed.extend(rows(8..9), 1);
        unclosed.seal(Offset::new(9));
        unclosed.extend(rows(9..12), 3);
        unclosed.seal(Offset::new(12));
        assert_eq!(parts(&mut unclosed, ALL), [(0, 2, Some(2)), (2, 9, None), (9, 12, Some(3))]);
        assert_eq!(unclosed.kept_bytes, 0);
    }

    #[test]
    fn segments_go_together_as_far_as_the_limit_of_messages_allows() {
        let limit = CloseLimit { messages: 25, ..ALL };
        assert_eq!(parts(&mut segments_of_ten(4, usize::MAX), limit), [(0, 20, Some(20)), (20, 40, Some(20))]);
    }

    #[test]
    fn dropped_segments_are_read_again_together_as_far_as_messages_and_bytes_allow() {
        let dropped = || segments_of_ten(4, 0);
        assert_eq!(parts(&mut dropped(), ALL), [(0, 40, None)]);
        let of_messages = CloseLimit { messages: 25, ..ALL };
        assert_eq!(parts(&mut dropped(), of_messages), [(0, 20, None), (20, 40, None)]);
        let of_bytes = CloseLimit { bytes: bytes_of(35), ..ALL };
        assert_eq!(parts(&mut dropped(), of_bytes), [(0, 30, None), (30, 40, None)]);
        let less_than_one = CloseLimit { bytes: 1, ..ALL };
        assert_eq!(parts(&mut dropped(), less_than_one).len(), 4);
    }

    #[test]
    fn rows_that_are_to_be_read_again_count_as_many_bytes_as_they_had() {
        for cap_bytes in [0, usize::MAX] {
            let part = segments_of_ten(3, cap_bytes).take_closable(ALL, None).unwrap();
            assert_eq!((part.rows.is_some(), part.bytes), (cap_bytes > 0, bytes_of(30)));
        }
    }

    #[test]
    fn segments_of_other_columns_do_not_go_together() {
        let mut unclosed = segments_of_ten(3, usize::MAX);
        let first = unclosed.take_closable(ALL, Some(Offset::new(20))).unwrap();
        assert_eq!(first.span.to, Offset::new(20));
        assert_eq!(unclosed.take_closable(ALL, None).unwrap().span.to, Offset::new(30));
    }
}
