//! Text becomes blocks of whole lines, so that blocks can be parsed beside each other and line numbers stay exact.

use std::{io::Read, path::PathBuf};

use super::IngestError;

/// Two MiB are some 33,000 lines: little beside the memory that a job may take, much beside the cost of a hand-over.
const BLOCK_BYTES: usize = 2 << 20;

/// No reading is that long; a file of one endless line must not fill the memory.
pub(super) const MAX_LINE_BYTES: usize = 1 << 20;

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
            if bytes.len() > MAX_LINE_BYTES {
                return Err(self.too_long());
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
        let wanted = self.block_bytes;
        while !self.ended && bytes.len() < wanted {
            let missing = wanted - bytes.len();
            self.read_some(&mut bytes, missing)?;
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        if !self.ended {
            let end = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
            if bytes.len() - end > MAX_LINE_BYTES {
                self.next_line += memchr::memchr_iter(b'\n', &bytes[..end]).count() as u64;
                return Err(self.too_long());
            }
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

    fn too_long(&self) -> IngestError {
        IngestError::LineTooLong { path: self.path.clone(), line: self.next_line, limit_bytes: MAX_LINE_BYTES }
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

    #[test]
    fn a_line_without_an_end_in_sight_is_refused_by_its_number() {
        let mut text = b"header\nshort\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 3 * MAX_LINE_BYTES));
        let mut reader = reader(&text, 2 * MAX_LINE_BYTES);
        reader.header().unwrap();
        let error = reader.next_block().unwrap_err();
        assert!(matches!(error, IngestError::LineTooLong { line: 3, .. }), "{error}");
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
