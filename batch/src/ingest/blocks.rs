//! Text becomes blocks of whole lines, so that blocks can be parsed beside each other and line numbers stay exact.

use std::{io::Read, path::PathBuf};

use super::IngestError;

/// Two MiB are some 33,000 lines: little beside the memory that a job may take, much beside the cost of a hand-over.
const BLOCK_BYTES: usize = 2 << 20;

/// A line of megabytes is no reading, but may be the one bad line of a good file: it is kept whole as a dead letter. What
/// is longer still is no table, and a file of one endless line must not fill the memory.
pub(super) const MAX_LINE_BYTES: usize = 16 << 20;

/// The names of ten thousand columns.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// Whole lines of a file.
#[derive(Debug)]
pub(crate) struct Block {
    /// The lines with their ends; the last line of the file may lack its end.
    pub bytes: Vec<u8>,
    /// Number of the first of them, from 1.
    pub first_line: u64,
}

/// Cuts a text at line ends.
pub(crate) struct BlockReader {
    input: Box<dyn Read + Send>,
    path: PathBuf,
    block_bytes: usize,
    rest: Vec<u8>,
    next_line: u64,
    ended: bool,
}

impl BlockReader {
    /// Begins at line 1.
    pub(crate) fn new(input: Box<dyn Read + Send>, path: PathBuf) -> Self {
        Self { input, path, block_bytes: BLOCK_BYTES, rest: Vec::new(), next_line: 1, ended: false }
    }

    /// The first line, without its end and a byte order mark; `None` if there is no byte at all.
    pub(crate) fn header(&mut self) -> Result<Option<Vec<u8>>, IngestError> {
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = memchr::memchr(b'\n', &bytes) {
                self.rest = bytes.split_off(end + 1);
                bytes.pop();
                break;
            }
            if bytes.len() > MAX_HEADER_BYTES {
                return Err(self.too_long(MAX_HEADER_BYTES));
            }
            // A header is short; reading little here keeps the first block as large as the others.
            if self.read_some(&mut bytes, 16 << 10)? == 0 {
                break;
            }
        }
        if self.ended && bytes.is_empty() && self.rest.is_empty() {
            return Ok(None);
        }
        self.next_line = 2;
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
        if bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        Ok(Some(bytes))
    }

    /// The next lines, or `None` after the last one.
    pub(crate) fn next_block(&mut self) -> Result<Option<Block>, IngestError> {
        let mut bytes = Vec::with_capacity(self.block_bytes + self.rest.len());
        bytes.append(&mut self.rest);
        let mut wanted = self.block_bytes;
        let first_end = loop {
            while !self.ended && bytes.len() < wanted {
                let missing = wanted - bytes.len();
                self.read_some(&mut bytes, missing)?;
            }
            if let Some(end) = memchr::memchr(b'\n', &bytes) {
                break end;
            }
            if self.ended || bytes.len() > MAX_LINE_BYTES {
                break bytes.len();
            }
            wanted += self.block_bytes;
        };
        // Only the first line of a block can be that long: later ones end in the last piece that was read.
        if first_end > MAX_LINE_BYTES {
            return Err(self.too_long(MAX_LINE_BYTES));
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        if !self.ended {
            let end = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
            self.rest.extend_from_slice(&bytes[end..]);
            bytes.truncate(end);
        }
        let first_line = self.next_line;
        self.next_line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        Ok(Some(Block { bytes, first_line }))
    }

    fn read_some(&mut self, into: &mut Vec<u8>, at_most: usize) -> Result<usize, IngestError> {
        let read = self
            .input
            .by_ref()
            .take(at_most as u64)
            .read_to_end(into)
            .map_err(|source| IngestError::from_io(&self.path, source))?;
        self.ended = read < at_most;
        Ok(read)
    }

    fn too_long(&self, limit_bytes: usize) -> IngestError {
        IngestError::LineTooLong { path: self.path.clone(), line: self.next_line, limit_bytes }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn reader(text: &[u8], block_bytes: usize) -> BlockReader {
        let mut reader = BlockReader::new(Box::new(Cursor::new(text.to_vec())), PathBuf::from("test"));
        reader.block_bytes = block_bytes;
        reader
    }

    #[test]
    fn the_header_loses_its_mark_and_its_line_end() {
        assert_eq!(reader(b"\xef\xbb\xbfa;b\r\n1;2\r\n", 64).header().unwrap().unwrap(), b"a;b");
        assert_eq!(reader(b"a;b", 64).header().unwrap().unwrap(), b"a;b");
        assert_eq!(reader(b"", 64).header().unwrap(), None);
    }

    /// What comes of a file whose third line has so many bytes: the lengths of all lines after the header.
    fn third_line_of(line_bytes: usize, rest: &[u8]) -> Result<Vec<usize>, IngestError> {
        let mut text = b"header\nshort\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', line_bytes));
        text.extend_from_slice(rest);
        let mut reader = reader(&text, BLOCK_BYTES);
        reader.header().unwrap();
        let mut lengths = Vec::new();
        while let Some(block) = reader.next_block()? {
            lengths.extend(block.bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len));
        }
        Ok(lengths)
    }

    #[test]
    fn a_long_line_is_one_line_wherever_the_blocks_are_cut() {
        for line_bytes in [BLOCK_BYTES - 20, BLOCK_BYTES, 5 * BLOCK_BYTES + 7, MAX_LINE_BYTES] {
            assert_eq!(third_line_of(line_bytes, b"\nlast\n").unwrap(), [6, line_bytes + 1, 5]);
            assert_eq!(third_line_of(line_bytes, b"").unwrap(), [6, line_bytes]);
        }
    }

    #[test]
    fn a_line_without_an_end_in_sight_is_refused_by_its_number() {
        for (line_bytes, rest) in [(MAX_LINE_BYTES + 1, &b"\nlast\n"[..]), (MAX_LINE_BYTES + 1, b""), (3 << 24, b"")] {
            let error = third_line_of(line_bytes, rest).unwrap_err();
            assert!(matches!(error, IngestError::LineTooLong { line: 3, .. }), "{error}");
        }
        let error = reader(&vec![b'x'; 2 * MAX_HEADER_BYTES], BLOCK_BYTES).header().unwrap_err();
        assert!(matches!(error, IngestError::LineTooLong { line: 1, .. }), "{error}");
    }

    proptest! {
        #[test]
        fn blocks_of_any_size_hold_every_line_once_under_its_number(
            lines in prop::collection::vec("[a-z]{0,12}", 0..40), block_bytes in 1_usize..64, ends in any::<bool>(),
        ) {
            let mut text = format!("header\n{}", lines.join("\n"));
            if ends && !lines.is_empty() { text.push('\n'); }
            let mut reader = reader(text.as_bytes(), block_bytes);
            reader.header().unwrap();
            let mut joined = Vec::new();
            while let Some(block) = reader.next_block().unwrap() {
                let before = joined.iter().filter(|byte| **byte == b'\n').count() as u64;
                prop_assert_eq!(block.first_line, before + 2);
                joined.extend(block.bytes);
            }
            prop_assert_eq!(format!("header\n{}", String::from_utf8(joined).unwrap()), text);
        }
    }
}
