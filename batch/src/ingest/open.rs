//! A path becomes a readable file: what it is, and its bytes, decompressed and counted.

use std::{
    fs::{File, Metadata},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::{IngestError, Progress};

/// Large enough that a system call costs nothing beside hashing or parsing what it brought.
const READ_BYTES: usize = 1 << 20;

/// As many first bytes as the longest mark of a packing has.
const MAGIC_BYTES: usize = 6;

/// How the bytes are packed, told by the first of them and never by the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Text.
    Plain,
    /// Text, in one or several gzip members.
    Gzip,
    /// Parquet.
    Parquet,
}

/// A file that is there and can be read.
#[derive(Debug, Clone)]
pub(crate) struct InputFile {
    /// What people call it.
    pub path: PathBuf,
    /// Where its bytes are.
    at: PathBuf,
    /// How it is packed.
    pub packing: Packing,
    /// Its size.
    pub size_bytes: u64,
    modified: Option<SystemTime>,
}

impl InputFile {
    /// Looks at the file at `at` that people call `path`.
    pub(crate) fn look_at(path: &Path, at: &Path) -> Result<Self, IngestError> {
        let io_error = |source| IngestError::from_io(path, source);
        let metadata = std::fs::metadata(at).map_err(io_error)?;
        if metadata.is_dir() {
            return Err(IngestError::Directory { path: path.to_owned() });
        }
        if !metadata.is_file() {
            return Err(IngestError::BadRequest {
                reason: format!(
                    "{}: not a regular file; it is read twice, so copy the data to a file or write `-` for standard input",
                    path.display()
                ),
            });
        }
        let mut magic = Vec::with_capacity(MAGIC_BYTES);
        let opened = File::open(at).map_err(io_error)?;
        opened.take(MAGIC_BYTES as u64).read_to_end(&mut magic).map_err(io_error)?;
        let packing = match magic.as_slice() {
            [] => return Err(IngestError::Empty { path: path.to_owned() }),
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [b'P', b'A', b'R', b'1', ..] => Packing::Parquet,
            magic => match unsupported(magic) {
                Some((found, fix)) => return Err(IngestError::Unsupported { path: path.to_owned(), found, fix }),
                None => Packing::Plain,
            },
        };
        Ok(Self {
            path: path.to_owned(),
            at: at.to_owned(),
            packing,
            size_bytes: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }

    /// The text inside, counted by the bytes of the file as they are read.
    pub(crate) fn text(&self, progress: Arc<dyn Progress>) -> Result<Box<dyn Read + Send>, IngestError> {
        let file = self.file()?;
        let counted = Counted { inner: file, progress };
        Ok(match self.packing {
            Packing::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, counted))),
            Packing::Plain | Packing::Parquet => Box::new(counted),
        })
    }

    /// The bytes as they are stored.
    pub(crate) fn file(&self) -> Result<File, IngestError> {
        File::open(&self.at).map_err(|source| IngestError::from_io(&self.path, source))
    }

    /// SHA-256 of the bytes as they are stored, in hex: what `sha256sum` prints.
    pub(crate) fn sha256(&self) -> Result<String, IngestError> {
        let io_error = |source| IngestError::from_io(&self.path, source);
        let mut file = self.file()?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => hasher.update(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io_error(error)),
            }
        }
        Ok(hex::encode(hasher.finalize()))
    }

    /// Refuses a file that somebody wrote to since [`InputFile::look_at`]: its hash and its rows may differ.
    pub(crate) fn check_unchanged(&self) -> Result<(), IngestError> {
        let now: Metadata = std::fs::metadata(&self.at).map_err(|source| IngestError::from_io(&self.path, source))?;
        if now.len() == self.size_bytes && now.modified().ok() == self.modified {
            Ok(())
        } else {
            Err(IngestError::Changed { path: self.path.clone() })
        }
    }
}

/// Whether it is a ZIP archive, as far as it can be read.
pub(super) fn is_zip(path: &Path) -> bool {
    let mut magic = [0; 4];
    // To open a pipe waits for a writer.
    path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && matches!(&magic, b"PK\x03\x04" | b"PK\x05\x06")
}

/// What first bytes say of a file that people have at hand but that is not read, and what to do with it.
fn unsupported(magic: &[u8]) -> Option<(&'static str, &'static str)> {
    const UNPACK: &str = "unpack it first, or pack it with gzip";
    match magic {
        [b'P', b'K', 3, 4, ..] => Some(("a ZIP archive in another one", "unzip the outer one first")),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Some(("packed with xz", UNPACK)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(("packed with zstd", UNPACK)),
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A'] => Some(("packed with bzip2", UNPACK)),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(("text in UTF-16", "save it as UTF-8")),
        _ => None,
    }
}

/// Tells the progress what passes through.
struct Counted<R> {
    inner: R,
    progress: Arc<dyn Progress>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.progress.advance(read as u64);
        Ok(read)
    }
}
