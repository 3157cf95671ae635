//! Where bytes wait that can be read once, while they are read twice.
//!
//! Each file is locked by its process as long as that lives, so that a killed one's is known and removed by the next call.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::Input;
use crate::ingest::{IngestConfig, IngestError};

/// How the name of a spooled file begins.
const PREFIX: &str = "ingest-";

/// Tries to make a file that no other call takes for a leaving in the moment before it is locked.
const TRIES: u32 = 100;

/// A folder with bounded room. Clones share the room.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
    limit_bytes: u64,
    held: Arc<Held>,
}

/// What this process keeps in the folder.
#[derive(Debug, Default)]
struct Held {
    bytes: AtomicU64,
    files: Mutex<BTreeSet<PathBuf>>,
}

impl Spool {
    /// A spool in this folder, which is made where it is needed. What killed processes left there is removed.
    #[must_use]
    pub fn open(folder: PathBuf, config: IngestConfig) -> Self {
        sweep(&folder);
        Self { folder, limit_bytes: config.spool_mib << 20, held: Arc::default() }
    }

    /// Removes all files, also those that are in use: for a process that is about to end.
    pub fn clear(&self) {
        for file in std::mem::take(&mut *self.held.files()) {
            // The next call removes what could not be removed here.
            let _ = std::fs::remove_file(file);
        }
    }

    /// Refuses what would not fit, before any of it is written.
    pub(super) fn check_room(&self, name: &Path, size_bytes: u64) -> Result<(), IngestError> {
        if self.held.bytes.load(Ordering::Relaxed).saturating_add(size_bytes) > self.limit_bytes {
            return Err(self.full(name));
        }
        Ok(())
    }

    /// Bytes that can be read once, as a file.
    pub(super) fn copy(&self, name: PathBuf, bytes: &mut dyn Read) -> Result<Input, IngestError> {
        let mut file = self.begin(&name)?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            // Told apart, for the one is the input's fault and the other the disk's.
            match bytes.read(&mut buffer) {
                Ok(0) => return Ok(file.finish()),
                Ok(read) => file.write(&buffer[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(IngestError::from_io(&name, source)),
            }
        }
    }

    /// A file without bytes for what people call `name`.
    pub(super) fn begin(&self, name: &Path) -> Result<Spooling, IngestError> {
        let io_error = |source| IngestError::from_io(&self.folder, source);
        std::fs::create_dir_all(&self.folder).map_err(io_error)?;
        for _ in 0..TRIES {
            let (file, place) =
                tempfile::Builder::new().prefix(PREFIX).tempfile_in(&self.folder).map_err(io_error)?.into_parts();
            let path = place.to_path_buf();
            self.held.files().insert(path.clone());
            let spooled = Spooled { place: Some(place), path, bytes: 0, held: Arc::clone(&self.held) };
            file.lock().map_err(io_error)?;
            // Between the two, another call may have taken it for a dead process's.
            if spooled.path.exists() {
                return Ok(Spooling { spool: self.clone(), name: name.to_owned(), file, spooled });
            }
        }
        Err(IngestError::from_io(&self.folder, io::Error::other("other processes remove what is made here")))
    }

    fn full(&self, name: &Path) -> IngestError {
        IngestError::SpoolFull { path: name.to_owned(), folder: self.folder.clone(), limit_mib: self.limit_bytes >> 20 }
    }
}

impl Held {
    fn files(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Spooling {
    spool: Spool,
    name: PathBuf,
    file: File,
    spooled: Spooled,
}

impl Spooling {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), IngestError> {
        self.spool.check_room(&self.name, bytes.len() as u64)?;
        self.file.write_all(bytes).map_err(|source| IngestError::from_io(&self.spool.folder, source))?;
        self.spooled.bytes += bytes.len() as u64;
        self.spool.held.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// The file, locked as long as the input lives.
    pub(super) fn finish(self) -> Input {
        let at = self.spooled.path.clone();
        Input { name: self.name, at, origin: None, _spooled: Some((self.file, self.spooled)) }
    }
}

/// A file in the spool; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Spooled {
    place: Option<tempfile::TempPath>,
    path: PathBuf,
    bytes: u64,
    held: Arc<Held>,
}

impl Drop for Spooled {
    fn drop(&mut self) {
        drop(self.place.take());
        self.held.files().remove(&self.path);
        self.held.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Removes what processes left that live no more: nobody holds the lock.
fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let path = entry.path();
        let left = File::open(&path).is_ok_and(|file| {
            // Removed under the lock, so that its maker sees that it is gone.
            file.try_lock().is_ok() && std::fs::remove_file(&path).is_ok()
        });
        if left {
            tracing::info!(path = %path.display(), "removed a spooled file of a process that is gone");
        }
    }
}
