//! A small tmpfs, which only root may mount.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// A mounted tmpfs; unmounted when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where that is not allowed: then `test` says that it is skipped.
    pub fn mount(folder: &Path, size_mb: u32, test: &str) -> Option<Self> {
        let size = format!("size={size_mb}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder.to_owned()));
        }
        #[expect(clippy::explicit_write, reason = "the harness hides what passing tests print by the macro")]
        writeln!(io::stderr(), "SKIPPED {test}: mounting a tmpfs takes root").unwrap();
        None
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Lets nothing be written, or everything again.
    pub fn lock(&self, locked: bool) {
        let access = if locked { "remount,ro" } else { "remount,rw" };
        let remounted = || Command::new("mount").args(["-o", access]).arg(&self.0).status().unwrap().success();
        // Busy while a file is open to be written.
        let done = (0..1000).any(|_| remounted());
        assert!(done, "the disk could not be mounted anew");
    }

    /// Writes until nothing more fits; removing the file makes room again.
    pub fn fill(&self) -> PathBuf {
        let path = self.0.join("ballast");
        let mut file = fs::File::create(&path).unwrap();
        for block_bytes in [64 << 10, 4 << 10] {
            let block = vec![0; block_bytes];
            let full = loop {
                if let Err(error) = file.write_all(&block) {
                    break error;
                }
            };
            assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a file that is open yet must not keep the mount for good.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
