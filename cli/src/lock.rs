//! One process at a time owns the embedded log and its speed layer.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use anyhow::Context as _;

/// The lock of a data folder; it ends with the process, even with `kill -9`.
#[derive(Debug)]
pub struct DataFolderLock {
    _file: File,
}

impl DataFolderLock {
    /// Makes the folder where it is missing and locks it.
    ///
    /// # Errors
    /// Another process holds it, or the folder cannot be written.
    pub fn acquire(data_dir: &Path) -> anyhow::Result<Self> {
        let shown = data_dir.display();
        std::fs::create_dir_all(data_dir).with_context(|| format!("making the data folder {shown}"))?;
        let path = data_dir.join("up.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => anyhow::bail!(
                "the data folder {shown} is in use by another `kilowatch up` or `speed run`; \
                 stop it, or choose another folder with --data-dir"
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_turned_away_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataFolderLock::acquire(folder.path()).unwrap();
        let message = DataFolderLock::acquire(folder.path()).unwrap_err().to_string();
        assert!(message.contains("in use") && message.contains("--data-dir"), "{message}");
        drop(first);
        DataFolderLock::acquire(folder.path()).unwrap();
    }
}
