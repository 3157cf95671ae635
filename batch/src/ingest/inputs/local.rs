//! The files of a path, a folder or a pattern.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs::DirEntry,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{Input, MAX_FILES, Mark, Named, Origin, OwnPlaces, is_hidden};
use crate::ingest::IngestError;

/// What a name means.
pub(super) fn files(name: &OsString, own: &OwnPlaces) -> Result<Vec<Named>, IngestError> {
    let path = PathBuf::from(name);
    let mut found = Found { own: own.clone(), seen: HashSet::new(), named: Vec::new(), left_out: false };
    let pattern = name.to_str().filter(|name| name.contains(['*', '?', '[']));
    if path.is_dir() {
        found.walk(&path);
        if found.named.is_empty() {
            return Err(found.nothing(&path, "the folder holds no file"));
        }
    } else if let Some(pattern) = pattern.filter(|_| !path.exists()) {
        for path in glob::glob(pattern).map_err(|error| bad_pattern(&path, &error))? {
            match path {
                Ok(path) if path.is_file() => found.add(path),
                Ok(_folder) => {}
                Err(error) => {
                    let at = error.path().to_owned();
                    found.fail(&at, error.into());
                }
            }
        }
        if found.named.is_empty() {
            return Err(found.nothing(&path, "no file matches this pattern"));
        }
    } else {
        found.named.push(Named::File(path));
    }
    if found.left_out {
        tracing::info!(path = %Path::new(name).display(), "what is there of kilowatch's own data folder and lake is left out");
    }
    Ok(found.named)
}

/// The file as an input, which is not read yet.
pub(super) fn input(path: PathBuf) -> Input {
    let origin = mark(&path).map(|mark| Origin { place: path.clone(), mark, inputs: 1 });
    Input { at: path.clone(), name: path, origin, _spooled: None }
}

/// How the file looks, by the clock of the system, which stamps files as well.
pub(super) fn mark(path: &Path) -> Option<Mark> {
    Mark::of_file(path, SystemTime::now())
}

/// What a folder or a pattern led to.
struct Found {
    /// What is left out.
    own: OwnPlaces,
    /// Files without links: a second way to one of them is no second file.
    seen: HashSet<PathBuf>,
    named: Vec<Named>,
    left_out: bool,
}

impl Found {
    /// All files of a folder and below, ordered by name, folder by folder.
    fn walk(&mut self, folder: &Path) {
        if self.is_own(folder) {
            return;
        }
        let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<DirEntry>, _>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(source) => return self.fail(folder, source),
        };
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            if is_hidden(Path::new(&entry.file_name())) || self.named.len() > MAX_FILES {
                continue;
            }
            match entry.file_type() {
                // A link to a folder may lead back up; a link to a file is a file.
                Ok(kind) if kind.is_dir() => self.walk(&path),
                Ok(_) if path.is_file() => self.add(path),
                Ok(_) => {}
                Err(source) => self.fail(&path, source),
            }
        }
    }

    fn add(&mut self, path: PathBuf) {
        let real = path.canonicalize().unwrap_or_else(|_gone| path.clone());
        if !self.is_own(&real) && self.seen.insert(real) {
            self.named.push(Named::File(path));
        }
    }

    fn fail(&mut self, path: &Path, source: std::io::Error) {
        self.named.push(Named::Failed(IngestError::from_io(path, source)));
    }

    /// Why nothing was found: it is not there, or it is ours.
    fn nothing(&self, path: &Path, what: &'static str) -> IngestError {
        if self.left_out {
            let reason = format!("{}: {what} but those of kilowatch's own data folder and lake", path.display());
            return IngestError::BadRequest { reason };
        }
        IngestError::NothingThere { name: path.display().to_string(), what }
    }

    fn is_own(&mut self, path: &Path) -> bool {
        let is_own = self.own.has_file(path);
        self.left_out |= is_own;
        is_own
    }
}

fn bad_pattern(path: &Path, error: &glob::PatternError) -> IngestError {
    IngestError::BadRequest { reason: format!("{}: is no pattern: {error}", path.display()) }
}
