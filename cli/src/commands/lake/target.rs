//! Where rows go that go to no terminal: a file that is there whole or not at all, or whatever else a path names.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tempfile::NamedTempFile;

/// Links that lead to a path, at most; as many as the system follows.
const MOST_LINKS: usize = 40;

/// What a new file may be used for, before the process's mask takes some of it away.
const NEW_FILE_MODE: u32 = 0o666;

/// A path on its way to its content.
#[derive(Debug)]
pub enum Target {
    /// A regular file, or none yet: written beside it, and put in its place at the end.
    Whole {
        /// The file that is to be in its place.
        file: NamedTempFile,
        /// The place, links followed.
        place: PathBuf,
    },
    /// A pipe, a device, what somebody has open: written through, for there is nothing to put in its place.
    Through(File),
}

impl Target {
    /// Opens what the path names. A link is followed and stays; a file that is replaced leaves its mode to the new one.
    ///
    /// # Errors
    /// A folder that does not exist or may not be written, or the system's.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let place = followed(path).with_context(|| format!("looking for {}", path.display()))?;
        let mode = match fs::metadata(&place) {
            Ok(found) if found.is_file() && !is_an_open_file(&place) => found.permissions().mode(),
            Ok(_) => {
                let through = OpenOptions::new().append(true).open(&place);
                return Ok(Self::Through(through.with_context(|| format!("writing {}", path.display()))?));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => NEW_FILE_MODE,
            Err(error) => return Err(error).with_context(|| format!("looking for {}", path.display())),
        };
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(folder)
            .with_context(|| format!("making a file in {}", folder.display()))?;
        if place.exists() {
            // The mask may have taken away what the file that is there allows.
            let kept = fs::set_permissions(file.path(), Permissions::from_mode(mode));
            kept.with_context(|| format!("giving the mode of {} to its successor", path.display()))?;
        }
        Ok(Self::Whole { file, place })
    }

    /// Where to write.
    ///
    /// # Errors
    /// The system's.
    pub fn writer(&self) -> io::Result<File> {
        match self {
            Self::Whole { file, .. } => file.as_file().try_clone(),
            Self::Through(file) => file.try_clone(),
        }
    }

    /// Ends the writing: from now on a file is there.
    ///
    /// # Errors
    /// The disk is full, or the system's.
    pub fn finish(self) -> io::Result<()> {
        let Self::Whole { file, place } = self else { return Ok(()) };
        file.as_file().sync_all()?;
        file.persist(place)?;
        Ok(())
    }
}

/// Whether a path means a file that somebody has open, as `/dev/stdout` does: they go on with that one, whatever is put in
/// its place.
fn is_an_open_file(place: &Path) -> bool {
    ["/proc", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr"].iter().any(|open| place.starts_with(open))
}

/// The path behind symbolic links, whether anything is there or not.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut place = path.to_owned();
    for _ in 0..MOST_LINKS {
        if is_an_open_file(&place) {
            return Ok(place);
        }
        match fs::read_link(&place) {
            // A relative link begins where it stands.
            Ok(next) => place = place.parent().unwrap_or_else(|| Path::new("")).join(next),
            // No link, or nothing there.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => return Ok(place),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::{fd::AsRawFd as _, unix::fs::symlink},
        process::Command,
    };

    use super::*;

    fn write(path: &Path, text: &str) {
        let target = Target::open(path).unwrap();
        target.writer().unwrap().write_all(text.as_bytes()).unwrap();
        target.finish().unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_keeps_its_mode_and_a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link, loose) = (folder.path().join("file"), folder.path().join("link"), folder.path().join("loose"));
        fs::write(&file, "before").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o662)).unwrap();
        symlink("file", &link).unwrap();
        write(&link, "after");
        assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file)), ("after", 0o662));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        symlink("not there yet", &loose).unwrap();
        write(&loose, "new");
        assert_eq!(fs::read_to_string(folder.path().join("not there yet")).unwrap(), "new");
    }

    #[test]
    fn a_new_file_is_as_open_as_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, other) = (folder.path().join("ours"), folder.path().join("other"));
        write(&ours, "");
        fs::write(&other, "").unwrap();
        assert_eq!(mode(&ours), mode(&other));
    }

    #[test]
    fn what_is_no_file_is_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reading = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
                text
            }
        });
        write(&pipe, "through");
        assert_eq!(reading.join().unwrap(), "through");
        assert!(!fs::symlink_metadata(&pipe).unwrap().is_file());
        assert!(Target::open(folder.path()).is_err(), "a folder is no place for rows");
    }

    #[test]
    fn a_file_that_somebody_has_open_is_gone_on_with() {
        let mut open = tempfile::NamedTempFile::new().unwrap();
        open.write_all(b"before, ").unwrap();
        write(Path::new(&format!("/proc/self/fd/{}", open.as_file().as_raw_fd())), "after");
        assert_eq!(fs::read_to_string(open.path()).unwrap(), "before, after");
        assert!(is_an_open_file(Path::new("/dev/stdout")) && !is_an_open_file(Path::new("/dev/shm/rows.csv")));
    }

    #[test]
    fn links_in_a_circle_are_told() {
        let folder = tempfile::tempdir().unwrap();
        symlink("b", folder.path().join("a")).unwrap();
        symlink("a", folder.path().join("b")).unwrap();
        assert!(Target::open(&folder.path().join("a")).is_err());
    }
}
