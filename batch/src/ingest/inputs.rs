//! What people name (files, folders, patterns, `s3://` addresses, `-`) becomes files, one after another.
//!
//! A file is read twice, so what is no file of this machine is spooled first: objects of a store, the members of a ZIP
//! archive, standard input. A spool goes with its [`Input`].

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, future::ready};
use kilowatch_shared::lake::store::LakeStore;
use object_store::{ObjectMeta, ObjectStoreExt as _, path::Path as ObjectPath};
use tempfile::{NamedTempFile, TempPath};
use tokio::{io::AsyncWriteExt as _, task::spawn_blocking};
use zip::ZipArchive;

use super::{IngestError, open::is_zip};

/// Standard input, as an argument.
const STDIN: &str = "-";

/// Files of one call: more are named by folders, one call each.
const MAX_FILES: usize = 100_000;

/// How the name of a spooled file begins.
const SPOOL_PREFIX: &str = "ingest-";

/// Age of a spooled file that nobody reads any more.
const LEFT_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A file to ingest.
#[derive(Debug)]
pub struct Input {
    /// What people call it.
    pub name: PathBuf,
    /// Where its bytes are.
    pub at: PathBuf,
    /// Removes the bytes once they are not needed any more.
    _spool: Option<TempPath>,
}

/// Files that were named, in order.
#[derive(Debug)]
pub struct Inputs {
    waiting: VecDeque<Named>,
    archive: Option<Archive>,
    spool: PathBuf,
}

#[derive(Debug)]
enum Named {
    File(PathBuf),
    Stdin,
    Object { store: LakeStore, bucket: String, key: ObjectPath },
}

/// A ZIP archive whose members are taken one after another.
#[derive(Debug)]
struct Archive {
    input: Input,
    zip: ZipArchive<File>,
    /// The members that are files, by number, with their names.
    members: VecDeque<(usize, PathBuf)>,
}

impl Inputs {
    /// Finds what is named: a folder means every file in it and below, except names that begin with `.` or `_`; a
    /// pattern what it matches; an address that ends with `/` every object below. Files of one folder, pattern or address
    /// come in the order of their names. What has to be spooled goes to `spool`, one at a time.
    ///
    /// # Errors
    /// A folder, pattern or address that names nothing, or a store that does not answer.
    pub async fn resolve(
        named: &[OsString],
        environment: &BTreeMap<String, String>,
        spool: &Path,
    ) -> Result<Self, IngestError> {
        let leavings = spool.to_owned();
        spawn_blocking(move || sweep(&leavings)).await.map_err(stopped)?;
        let mut waiting = VecDeque::new();
        for name in named {
            if name == STDIN {
                waiting.push_back(Named::Stdin);
            } else if let Some(address) = name.to_str().and_then(|name| name.strip_prefix("s3://")) {
                waiting.extend(objects(address, environment).await?);
            } else {
                let asked = name.clone();
                waiting.extend(spawn_blocking(move || files(&asked)).await.map_err(stopped)??);
            }
            if waiting.len() > MAX_FILES {
                return Err(IngestError::BadRequest {
                    reason: format!("more than {MAX_FILES} files are named; name their folders one by one"),
                });
            }
        }
        Ok(Self { waiting, archive: None, spool: spool.to_owned() })
    }

    /// Whether there may be another one.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.archive.as_ref().is_some_and(|archive| !archive.members.is_empty()) || !self.waiting.is_empty()
    }

    /// The next file; `None` after the last one. After an error the one after it comes next.
    ///
    /// # Errors
    /// It cannot be spooled: the store does not give it, the archive is damaged, the disk is full.
    pub async fn next(&mut self) -> Result<Option<Input>, IngestError> {
        loop {
            if let Some(mut archive) = self.archive.take()
                && let Some((number, name)) = archive.members.pop_front()
            {
                let spool = self.spool.clone();
                let take = move || {
                    let member = archive.member(number, &name, &spool);
                    (archive, member)
                };
                let (archive, member) = spawn_blocking(take).await.map_err(stopped)?;
                self.archive = Some(archive);
                return member.map(Some);
            }
            let Some(named) = self.waiting.pop_front() else { return Ok(None) };
            let input = match named {
                Named::File(path) => Input { at: path.clone(), name: path, _spool: None },
                Named::Stdin => {
                    let spool = self.spool.clone();
                    let copy = move || spooled(PathBuf::from(STDIN), &spool, &mut io::stdin().lock());
                    spawn_blocking(copy).await.map_err(stopped)??
                }
                Named::Object { store, bucket, key } => fetched(&store, &bucket, &key, &self.spool).await?,
            };
            let opened = spawn_blocking(move || match is_zip(&input.at) {
                true => Archive::open(input).map(Err),
                false => Ok(Ok(input)),
            });
            match opened.await.map_err(stopped)?? {
                Ok(input) => return Ok(Some(input)),
                Err(archive) => self.archive = Some(archive),
            }
        }
    }
}

impl Archive {
    fn open(input: Input) -> Result<Self, IngestError> {
        let file = File::open(&input.at).map_err(|source| IngestError::from_io(&input.name, source))?;
        let mut zip = ZipArchive::new(file).map_err(|error| damaged(&input.name, &error))?;
        let mut members = VecDeque::new();
        for number in 0..zip.len() {
            let member = zip.by_index_raw(number).map_err(|error| damaged(&input.name, &error))?;
            let name = PathBuf::from(String::from_utf8_lossy(member.name_raw()).into_owned());
            if !member.is_dir() && !is_hidden(&name) {
                // Below the archive, wherever the name points: it is for people, nothing is written there.
                let names = name.components().filter(|part| matches!(part, Component::Normal(_)));
                members.push_back((number, names.collect()));
            }
        }
        if members.is_empty() {
            return Err(IngestError::Damaged { path: input.name, reason: "the ZIP archive holds no file".to_owned() });
        }
        Ok(Self { input, zip, members })
    }

    fn member(&mut self, number: usize, name: &Path, spool: &Path) -> Result<Input, IngestError> {
        let mut member = self.zip.by_index(number).map_err(|error| damaged(&self.input.name, &error))?;
        spooled(self.input.name.join(name), spool, &mut member)
    }
}

fn damaged(path: &Path, error: &zip::result::ZipError) -> IngestError {
    IngestError::Damaged { path: path.to_owned(), reason: format!("damaged ZIP archive: {error}") }
}

/// The files of a path, a folder or a pattern.
fn files(name: &OsString) -> Result<Vec<Named>, IngestError> {
    let path = PathBuf::from(name);
    let nothing = |what: &str| IngestError::BadRequest { reason: format!("{}: {what}", path.display()) };
    let pattern = name.to_str().filter(|name| name.contains(['*', '?', '[']));
    let mut found = Vec::new();
    if path.is_dir() {
        walk(&path, &mut found)?;
        if found.is_empty() {
            return Err(nothing("the folder holds no file"));
        }
    } else if let Some(pattern) = pattern.filter(|_| !path.exists()) {
        let matches = glob::glob(pattern).map_err(|error| nothing(&format!("is no pattern: {error}")))?;
        for path in matches {
            let path = path.map_err(|error| {
                let at = error.path().to_owned();
                IngestError::from_io(&at, error.into())
            })?;
            if path.is_file() {
                found.push(path);
            }
        }
        if found.is_empty() {
            return Err(nothing("no file matches this pattern"));
        }
    } else {
        found.push(path);
    }
    Ok(found.into_iter().map(Named::File).collect())
}

/// All files of a folder and below, ordered by name, folder by folder.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), IngestError> {
    let io_error = |source| IngestError::from_io(folder, source);
    let mut entries = std::fs::read_dir(folder).map_err(io_error)?.collect::<Result<Vec<_>, _>>().map_err(io_error)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().map_err(io_error)?);
        if is_hidden(Path::new(&entry.file_name())) || found.len() > MAX_FILES {
            continue;
        }
        // A link to a folder may lead back up; a link to a file is a file.
        if kind.is_dir() {
            walk(&path, found)?;
        } else if path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

/// Markers and leavings of other programs: `.DS_Store`, `__MACOSX/...`, `_SUCCESS`, `_delta_log/...`.
fn is_hidden(path: &Path) -> bool {
    path.components().any(|part| match part {
        Component::Normal(name) => name.to_string_lossy().starts_with(['.', '_']),
        _ => false,
    })
}

/// The objects of an address: one, or all below it if it ends with `/` or names the bucket alone.
async fn objects(address: &str, environment: &BTreeMap<String, String>) -> Result<Vec<Named>, IngestError> {
    let url = format!("s3://{address}");
    let (bucket, key) = address.split_once('/').unwrap_or((address, ""));
    let bad = |reason: String| IngestError::BadRequest { reason };
    let store = LakeStore::open(&format!("s3://{bucket}"), environment).map_err(|error| bad(error.to_string()))?;
    let object = |key| Named::Object { store: store.clone(), bucket: bucket.to_owned(), key };
    let prefix = ObjectPath::parse(key.trim_end_matches('/')).map_err(|error| bad(format!("{url}: {error}")))?;
    if !key.is_empty() && !key.ends_with('/') {
        return Ok(vec![object(prefix)]);
    }
    let is_file = |meta: &ObjectMeta| {
        let below = meta.location.prefix_match(&prefix);
        // An object without a byte stands for a folder, in stores that show some.
        meta.size > 0 && below.is_some_and(|mut rest| !rest.any(|part| is_hidden(Path::new(part.as_ref()))))
    };
    let listed = store.objects().list(Some(&prefix)).try_filter(|meta| ready(is_file(meta))).take(MAX_FILES + 1);
    let mut keys: Vec<ObjectPath> =
        listed.map_ok(|meta| meta.location).try_collect().await.map_err(|error| remote(&url, &error))?;
    keys.sort_unstable();
    if keys.is_empty() {
        return Err(bad(format!("{url}: holds no object")));
    }
    Ok(keys.into_iter().map(object).collect())
}

/// An object as a file of this machine.
async fn fetched(store: &LakeStore, bucket: &str, key: &ObjectPath, spool: &Path) -> Result<Input, IngestError> {
    let url = format!("s3://{bucket}/{key}");
    let name = PathBuf::from(&url);
    let io_error = |source| IngestError::from_io(spool, source);
    let mut body = store.objects().get(key).await.map_err(|error| remote(&url, &error))?.into_stream();
    let (file, place) = new_spool(spool)?.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    while let Some(bytes) = body.try_next().await.map_err(|error| remote(&url, &error))? {
        file.write_all(&bytes).await.map_err(io_error)?;
    }
    file.flush().await.map_err(io_error)?;
    Ok(Input { name, at: place.to_path_buf(), _spool: Some(place) })
}

/// Bytes that can be read once, as a file.
fn spooled(name: PathBuf, spool: &Path, bytes: &mut dyn Read) -> Result<Input, IngestError> {
    let (mut file, place) = new_spool(spool)?.into_parts();
    let mut buffer = vec![0; 1 << 20];
    loop {
        // Told apart, for the one is the input's fault and the other the disk's.
        let read = match bytes.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(IngestError::from_io(&name, source)),
        };
        io::Write::write_all(&mut file, &buffer[..read]).map_err(|source| IngestError::from_io(spool, source))?;
    }
    Ok(Input { name, at: place.to_path_buf(), _spool: Some(place) })
}

fn new_spool(folder: &Path) -> Result<NamedTempFile, IngestError> {
    let io_error = |source| IngestError::from_io(folder, source);
    std::fs::create_dir_all(folder).map_err(io_error)?;
    tempfile::Builder::new().prefix(SPOOL_PREFIX).tempfile_in(folder).map_err(io_error)
}

/// Removes what a process that was killed left: no file is read for a day.
fn sweep(spool: &Path) {
    let Ok(entries) = std::fs::read_dir(spool) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(SPOOL_PREFIX)) {
        let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > LEFT_AFTER)
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "a spooled file that nobody needs was not removed");
        }
    }
}

fn remote(url: &str, error: &object_store::Error) -> IngestError {
    let fix = match error {
        object_store::Error::NotFound { .. } => "is the address right?",
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            "credentials, endpoint and region come from AWS_..."
        }
        _ => "the store may be away; run it again",
    };
    IngestError::Remote { url: url.to_owned(), reason: error.to_string(), fix }
}

fn stopped(error: tokio::task::JoinError) -> IngestError {
    IngestError::BadRequest { reason: format!("a worker stopped: {error}") }
}
