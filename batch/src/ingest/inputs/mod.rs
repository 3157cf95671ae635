//! What people name becomes files of this machine, one after another.
//!
//! `local` finds the files of paths, folders and patterns, `remote` the objects of `s3://` addresses; an [`Archive`] gives the
//! members of a ZIP archive. A file is read twice, so what is no file of this machine goes to the [`Spool`] first, and leaves
//! it with its [`Input`]. [`SeenFiles`] remembers for a job that comes again which files it need not read again.

mod archive;
mod config;
mod local;
mod own;
mod remote;
mod seen;
mod spool;

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use kilowatch_shared::lake::store::LakeStore;
use object_store::{ObjectMeta, path::Path as ObjectPath};
use tokio::task::spawn_blocking;

use super::{IngestError, open::is_zip};
use crate::BatchError;
use archive::Archive;
pub use config::IngestConfig;
pub use own::OwnPlaces;
pub use seen::SeenFiles;
use seen::{Mark, Origin};
pub use spool::Spool;
use spool::Spooled;

/// Standard input, as an argument.
const STDIN: &str = "-";

/// Files of one call: more are named by folders, one call each.
const MAX_FILES: usize = 100_000;

/// A file to ingest.
#[derive(Debug)]
pub struct Input {
    /// What people call it.
    pub name: PathBuf,
    /// Where its bytes are.
    pub at: PathBuf,
    /// What it is or comes from, if that can be told again by its looks.
    origin: Option<Origin>,
    /// Removes the bytes once they are not needed any more.
    _spooled: Option<(std::fs::File, Spooled)>,
}

/// Files that were named, in order.
#[derive(Debug)]
pub struct Inputs {
    waiting: VecDeque<Named>,
    archive: Option<Archive>,
    spool: Spool,
}

/// What one name stands for.
#[derive(Debug)]
enum Named {
    File(PathBuf),
    Stdin,
    Object {
        store: LakeStore,
        bucket: String,
        key: ObjectPath,
        /// What a listing told of it.
        listed: Option<ObjectMeta>,
    },
    /// Something that cannot be looked into: one input that fails, as a damaged file would.
    Failed(IngestError),
}

impl Inputs {
    /// Finds what is named: a folder means every file in it and below, except names that begin with `.` or `_` and the
    /// places of kilowatch itself; a pattern what it matches; an address that ends with `/` every object below.
    /// Files of one folder, pattern or address come in the order of their names, each once however many links lead to it.
    ///
    /// # Errors
    /// A folder, pattern or address that names nothing, or a store that does not answer.
    pub async fn resolve(
        named: &[OsString],
        environment: &BTreeMap<String, String>,
        own: &OwnPlaces,
        spool: Spool,
    ) -> Result<Self, BatchError> {
        let mut waiting = VecDeque::new();
        for name in named {
            if name == STDIN {
                waiting.push_back(Named::Stdin);
            } else if let Some(address) = name.to_str().and_then(|name| name.strip_prefix("s3://")) {
                waiting.extend(remote::objects(address, environment, own).await?);
            } else {
                let (asked, own) = (name.clone(), own.clone());
                waiting.extend(aside(move || local::files(&asked, &own)).await?);
            }
            if waiting.len() > MAX_FILES {
                return Err(IngestError::BadRequest {
                    reason: format!("more than {MAX_FILES} files are named; name their folders one by one"),
                }
                .into());
            }
        }
        Ok(Self { waiting, archive: None, spool })
    }

    /// Whether there may be another one.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.archive.as_ref().is_some_and(Archive::has_more) || !self.waiting.is_empty()
    }

    /// Leaves out the files that are as they were when the lake took them, and tells how many those are.
    ///
    /// # Errors
    /// [`BatchError::Internal`] if the thread that looks at them ended.
    pub(crate) async fn leave_out_seen(&mut self, seen: &mut SeenFiles) -> Result<u64, BatchError> {
        let looked_at = |named: &Named| match named {
            Named::File(path) if seen.has(path) => Some(path.clone()),
            _ => None,
        };
        let paths: Vec<PathBuf> = self.waiting.iter().filter_map(looked_at).collect();
        let looks = move || {
            Ok(paths
                .into_iter()
                .map(|path| {
                    let mark = local::mark(&path);
                    (path, mark)
                })
                .collect())
        };
        let mut marks: BTreeMap<PathBuf, Option<Mark>> = aside(looks).await?;
        let mut unchanged = 0;
        for named in std::mem::take(&mut self.waiting) {
            let (place, mark) = match &named {
                Named::File(path) => (path.clone(), marks.remove(path).flatten()),
                Named::Object { store, bucket, key, listed } => {
                    let place = PathBuf::from(remote::address(bucket, key));
                    let mark = if seen.has(&place) { remote::mark(store, key, listed.as_ref()).await } else { None };
                    (place, mark)
                }
                Named::Stdin | Named::Failed(_) => {
                    self.waiting.push_back(named);
                    continue;
                }
            };
            if seen.is_unchanged(&place, mark.as_ref()) {
                unchanged += 1;
            } else {
                self.waiting.push_back(named);
            }
        }
        Ok(unchanged)
    }

    /// The next file; `None` after the last one. After an error the one after it comes next.
    ///
    /// # Errors
    /// It cannot be spooled: the store does not give it, the archive is damaged, the disk or the spool is full.
    pub async fn next(&mut self) -> Result<Option<Input>, BatchError> {
        loop {
            if let Some(mut archive) = self.archive.take().filter(Archive::has_more) {
                let spool = self.spool.clone();
                let take = move || {
                    let member = archive.next_member(&spool);
                    Ok((archive, member))
                };
                let (archive, member) = aside(take).await?;
                self.archive = Some(archive);
                return Ok(Some(member?));
            }
            let Some(named) = self.waiting.pop_front() else { return Ok(None) };
            let input = match named {
                Named::File(path) => aside(move || Ok(local::input(path))).await?,
                Named::Stdin => {
                    let spool = self.spool.clone();
                    aside(move || spool.copy(PathBuf::from(STDIN), &mut io::stdin().lock())).await?
                }
                Named::Object { store, bucket, key, .. } => remote::fetched(&store, &bucket, &key, &self.spool).await?,
                Named::Failed(error) => return Err(error.into()),
            };
            let opened = aside(move || match is_zip(&input.at) {
                true => Archive::open(input).map(Err),
                false => Ok(Ok(input)),
            });
            match opened.await? {
                Ok(input) => return Ok(Some(input)),
                Err(archive) => self.archive = Some(archive),
            }
        }
    }
}

/// Markers and leavings of other programs: `.DS_Store`, `__MACOSX/...`, `_SUCCESS`, `_delta_log/...`.
fn is_hidden(path: &Path) -> bool {
    path.components().any(|part| match part {
        std::path::Component::Normal(name) => name.to_string_lossy().starts_with(['.', '_']),
        _ => false,
    })
}

/// Work with files, beside the runtime.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IngestError> + Send + 'static,
) -> Result<T, BatchError> {
    Ok(spawn_blocking(work).await.map_err(|error| BatchError::stopped("ingest", &error))??)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use object_store::{ObjectStoreExt as _, memory::InMemory};

    use super::*;

    #[tokio::test]
    async fn an_object_is_fetched_again_once_it_has_changed_whether_it_was_listed_or_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = LakeStore::over("memory://", Arc::new(InMemory::new()));
        let key = ObjectPath::from("new/a.csv");
        let inputs = async |is_listed: bool| {
            let listed = if is_listed { Some(store.objects().head(&key).await.unwrap()) } else { None };
            let object = Named::Object { store: store.clone(), bucket: "b".to_owned(), key: key.clone(), listed };
            let spool = Spool::open(folder.path().to_owned(), IngestConfig::default());
            Inputs { waiting: [object].into(), archive: None, spool }
        };
        let mut seen = SeenFiles::default();
        for (content, sha256) in [("a", "1"), ("b", "2")] {
            store.objects().put(&key, content.into()).await.unwrap();
            let mut found = inputs(true).await;
            assert_eq!(found.leave_out_seen(&mut seen).await.unwrap(), 0);
            let input = found.next().await.unwrap().unwrap();
            assert_eq!(std::fs::read_to_string(&input.at).unwrap(), content);
            seen.note(&input, sha256);
            seen.begin(&BTreeSet::from([sha256.to_owned()]));
            for is_listed in [true, false] {
                assert_eq!(inputs(is_listed).await.leave_out_seen(&mut seen).await.unwrap(), 1);
            }
        }
        seen.begin(&BTreeSet::new());
        assert_eq!(
            inputs(true).await.leave_out_seen(&mut seen).await.unwrap(),
            0,
            "the lake does not have it any more"
        );
    }
}
