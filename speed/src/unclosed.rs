//! Rows on their way to the lake: one segment after another, within a memory cap.

use std::collections::VecDeque;

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
}

/// A run of sealed segments to be closed at once.
#[derive(Debug)]
pub struct Closable {
    /// From L to a cut.
    pub span: OffsetSpan,
    /// Their rows; `None` if they were dropped and have to be read from the log again.
    pub rows: Option<Rows>,
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
            self.sealed.push_back(SealedSegment { to, rows });
            self.open_messages = 0;
            self.open_bytes = 0;
        }
    }

    /// Takes the oldest sealed segments, as many as fit into `max_rows` and end at or below `before`, at least one.
    /// Dropped ones come one at a time.
    pub fn take_closable(&mut self, max_rows: usize, before: Option<Offset>) -> Option<Closable> {
        let SealedSegment { mut to, mut rows } = self.sealed.pop_front()?;
        while let (Some(gathered), Some(next)) = (&mut rows, self.sealed.front_mut()) {
            if before.is_some_and(|before| next.to > before) {
                break;
            }
            let fits = next.rows.as_ref().is_some_and(|more| gathered.len() + more.len() <= max_rows);
            let Some(more) = next.rows.take_if(|_| fits) else { break };
            gathered.append(more);
            to = next.to;
            self.sealed.pop_front();
        }
        self.kept_bytes -= rows.as_ref().map_or(0, Rows::bytes);
        let span = OffsetSpan { from: self.from, to };
        self.from = to;
        Some(Closable { span, rows })
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

    fn cap_for(messages: u64) -> usize {
        rows(0..messages).bytes()
    }

    #[test]
    fn a_segment_over_the_cap_is_dropped_whole_and_the_ones_before_and_after_it_are_kept() {
        let mut unclosed = Unclosed::new(Offset::ZERO, cap_for(5));
        unclosed.extend(rows(0..2), 2);
        unclosed.seal(Offset::new(2));
        unclosed.extend(rows(2..4), 2);
        unclosed.extend(rows(4..8), 4);
        unclosed.extend(rows(8..9), 1);
        unclosed.seal(Offset::new(9));
        unclosed.extend(rows(9..12), 3);
        unclosed.seal(Offset::new(12));

        let taken: Vec<(u64, u64, Option<usize>)> = std::iter::from_fn(|| unclosed.take_closable(100, None))
            .map(|part| (part.span.from.get(), part.span.to.get(), part.rows.map(|rows| rows.len())))
            .collect();
        assert_eq!(taken, [(0, 2, Some(2)), (2, 9, None), (9, 12, Some(3))]);
        assert_eq!(unclosed.kept_bytes, 0);
    }

    #[test]
    fn segments_go_together_as_far_as_the_row_limit_allows() {
        let mut unclosed = Unclosed::new(Offset::ZERO, usize::MAX);
        for step in 0..4 {
            unclosed.extend(rows(step * 10..step * 10 + 10), 10);
            unclosed.seal(Offset::new(step * 10 + 10));
        }
        let ends: Vec<u64> =
            std::iter::from_fn(|| unclosed.take_closable(25, None)).map(|part| part.span.to.get()).collect();
        assert_eq!(ends, [20, 40]);
    }

    #[test]
    fn segments_of_other_columns_do_not_go_together() {
        let mut unclosed = Unclosed::new(Offset::ZERO, usize::MAX);
        for step in 0..3 {
            unclosed.extend(rows(step * 10..step * 10 + 10), 10);
            unclosed.seal(Offset::new(step * 10 + 10));
        }
        let first = unclosed.take_closable(100, Some(Offset::new(20))).unwrap();
        assert_eq!(first.span.to, Offset::new(20));
        assert_eq!(unclosed.take_closable(100, None).unwrap().span.to, Offset::new(30));
    }
}
