//! Which files have not changed since they were hashed: of hundreds that lie in a folder, only new ones are read.
//!
//! What is remembered is the hash of a file's bytes, by the [`Mark`] that the file had. Whether the lake knows such bytes it is
//! asked each time, so a lake that went back gets them again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use object_store::ObjectMeta;

use super::Input;

/// How long a file must have been at rest before its times can tell of a change: file systems count in steps of up to two
/// seconds, and a second write within a step leaves no trace.
const AT_REST: Duration = Duration::from_secs(2);

/// What shows that a file is still the one that it was, without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    /// Of this machine. The change of its entry betrays another file under the old name and times.
    File { size_bytes: u64, modified: SystemTime, changed: (i64, i64), number: u64 },
    /// Of a store.
    Object { size_bytes: u64, modified: DateTime<Utc>, e_tag: String },
}

impl Mark {
    /// `None` of a file that may still be written to.
    pub(super) fn of_file(path: &Path, now: SystemTime) -> Option<Self> {
        let metadata: Metadata = std::fs::metadata(path).ok()?;
        let modified = metadata.modified().ok()?;
        let rests = now.duration_since(modified).is_ok_and(|rested| rested > AT_REST);
        (metadata.is_file() && rests).then(|| Self::File {
            size_bytes: metadata.len(),
            modified,
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            number: metadata.ino(),
        })
    }

    /// `None` where the store has no tags.
    pub(super) fn of_object(meta: &ObjectMeta) -> Option<Self> {
        let e_tag = meta.e_tag.clone()?;
        Some(Self::Object { size_bytes: meta.size, modified: meta.last_modified, e_tag })
    }
}

/// The file or object that an input is, or is a member of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// Its path or address.
    pub place: PathBuf,
    /// As it was before it was read.
    pub mark: Mark,
    /// How many inputs it is: one, or the members of an archive.
    pub inputs: usize,
}

/// The files that were hashed before, by place.
#[derive(Debug, Default)]
pub struct SeenFiles {
    /// From the runs before.
    before: BTreeMap<PathBuf, Seen>,
    /// Of this run: what nobody names any more is forgotten after it.
    now: BTreeMap<PathBuf, Seen>,
}

/// A file whose bytes were hashed.
#[derive(Debug)]
struct Seen {
    origin: Origin,
    /// The SHA-256 of each of its inputs, by name.
    sha256s: BTreeMap<PathBuf, String>,
}

impl Seen {
    /// Whether all of it was hashed: an archive of which one member failed comes again.
    fn is_whole(&self) -> bool {
        self.sha256s.len() == self.origin.inputs
    }
}

impl SeenFiles {
    /// The hashes that are remembered.
    pub(crate) fn sha256s(&self) -> BTreeSet<String> {
        self.before.values().chain(self.now.values()).flat_map(|seen| seen.sha256s.values().cloned()).collect()
    }

    /// Begins a run over all inputs; of what is remembered the lake has `known`.
    pub(crate) fn begin(&mut self, known: &BTreeSet<String>) {
        self.before.append(&mut self.now);
        self.before.retain(|_, seen| seen.is_whole() && seen.sha256s.values().all(|sha256| known.contains(sha256)));
    }

    /// Whether something is remembered of this place.
    pub(super) fn has(&self, place: &Path) -> bool {
        self.now.contains_key(place) || self.before.contains_key(place)
    }

    /// Whether the file at this place is the one that the lake has.
    pub(super) fn is_unchanged(&mut self, place: &Path, mark: Option<&Mark>) -> bool {
        let held = self.now.get(place).or_else(|| self.before.get(place));
        let unchanged = held.is_some_and(|seen| mark == Some(&seen.origin.mark) && seen.is_whole());
        if unchanged && let Some((place, seen)) = self.before.remove_entry(place) {
            self.now.insert(place, seen);
        }
        unchanged
    }

    /// Remembers an input that the lake knows now.
    pub(crate) fn note(&mut self, input: &Input, sha256: &str) {
        let Some(origin) = &input.origin else { return };
        let blank = || Seen { origin: origin.clone(), sha256s: BTreeMap::new() };
        let seen = self.now.entry(origin.place.clone()).or_insert_with(blank);
        if seen.origin != *origin {
            *seen = blank();
        }
        seen.sha256s.insert(input.name.clone(), sha256.to_owned());
    }
}
