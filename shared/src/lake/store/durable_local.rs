//! A local folder that survives a power cut: object_store's own `LocalFileSystem` never syncs.

use std::{
    ffi::OsStr,
    fmt,
    fs::{self, File},
    io::{self, Write},
    ops::Range,
    path::{Path as FilePath, PathBuf},
    time::SystemTime,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
    local::LocalFileSystem, path::Path,
};

const STORE: &str = "DurableLocal";

/// A folder as an object store in which a successful write is on disk: the bytes, the file's name, and the folders.
///
/// A file appears whole or not at all, also after a power cut, because it is synced before it gets its name.
#[derive(Debug)]
pub struct DurableLocal {
    inner: LocalFileSystem,
}

impl DurableLocal {
    /// Opens a folder, which must exist.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn open(folder: &FilePath) -> Result<Self> {
        Ok(Self { inner: LocalFileSystem::new_with_prefix(folder)? })
    }

    async fn sync_existing(&self, location: &Path) -> Result<()> {
        let target = self.inner.path_to_filesystem(location)?;
        blocking(move || {
            File::open(&target)?.sync_all()?;
            sync_folder(&target)
        })
        .await
    }
}

/// Files below a folder that writers staged before an instant and never named, because they died: nobody lists them, and
/// nobody else deletes them.
///
/// # Errors
/// A folder cannot be read.
pub(super) fn left_staged(folder: &FilePath, before: SystemTime) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            // A writer at work may have named it, or given up, since it was listed.
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                folders.push(entry.path());
            } else if is_staged(&entry.file_name()) && meta.modified().is_ok_and(|at| at < before) {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// Whether a name is one that [`stage`] gives.
fn is_staged(name: &OsStr) -> bool {
    let digits = name.to_str().and_then(|name| name.rsplit_once('#')).map(|(_, digits)| digits);
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STORE}({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let create = match opts.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => return self.inner.put_opts(location, payload, opts).await,
        };
        let target = self.inner.path_to_filesystem(location)?;
        blocking(move || put_durably(&target, &payload, create)).await?;
        let e_tag = self.inner.head(location).await?.e_tag;
        Ok(PutResult { e_tag, version: None })
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let target = self.inner.path_to_filesystem(location)?;
        let folder = target.clone();
        blocking(move || make_folders(&folder)).await?;
        let upload = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(DurableUpload { upload, target }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    /// In the order of the paths, as every remote store lists; deltalake relies on it.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listing = self.inner.list(prefix);
        let sorted = async move {
            let mut all: Vec<ObjectMeta> = listing.try_collect().await?;
            all.sort_by(|a, b| a.location.cmp(&b.location));
            Ok::<_, Error>(stream::iter(all.into_iter().map(Ok)))
        };
        stream::once(sorted).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        self.sync_existing(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        self.sync_existing(to).await
    }
}

/// An upload in parts whose completion is on disk.
#[derive(Debug)]
struct DurableUpload {
    upload: Box<dyn MultipartUpload>,
    target: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.upload.complete().await?;
        let target = self.target.clone();
        blocking(move || {
            File::open(&target)?.sync_all()?;
            sync_folder(&target)
        })
        .await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

fn put_durably(target: &FilePath, payload: &PutPayload, create: bool) -> io::Result<()> {
    make_folders(target)?;
    let (mut file, staged) = stage(target)?;
    let written = payload.iter().try_for_each(|part| file.write_all(part)).and_then(|()| file.sync_all());
    drop(file);
    let named = written.and_then(|()| {
        // A hard link fails if the name is taken, which makes it the put-if-absent of a file system.
        if create { fs::hard_link(&staged, target) } else { fs::rename(&staged, target) }
    });
    if create || named.is_err() {
        let _ = fs::remove_file(&staged);
    }
    named?;
    sync_folder(target)
}

/// A fresh file beside `target`. Its name ends in `#` and digits, which `LocalFileSystem` leaves out of its lists.
fn stage(target: &FilePath) -> io::Result<(File, PathBuf)> {
    loop {
        let mut name = target.as_os_str().to_owned();
        name.push(format!("#{}", rand::random::<u64>()));
        match File::create_new(&name) {
            Ok(file) => return Ok((file, name.into())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes the folders above `target`; a new folder is on disk once its parent is synced.
fn make_folders(target: &FilePath) -> io::Result<()> {
    let Some(folder) = target.parent() else { return Ok(()) };
    if folder.is_dir() {
        return Ok(());
    }
    make_folders(folder)?;
    match fs::create_dir(folder) {
        // Whoever made it may not have synced it yet.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(folder),
    }
}

fn sync_folder(target: &FilePath) -> io::Result<()> {
    target.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(store_error),
        Err(source) => Err(Error::JoinError { source }),
    }
}

fn store_error(error: io::Error) -> Error {
    let path = String::new();
    match error.kind() {
        io::ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: Box::new(error) },
        io::ErrorKind::NotFound => Error::NotFound { path, source: Box::new(error) },
        io::ErrorKind::PermissionDenied => Error::PermissionDenied { path, source: Box::new(error) },
        _ => Error::Generic { store: STORE, source: Box::new(error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_many_creators_of_one_file_exactly_one_wins_and_its_bytes_stay() {
        let folder = tempfile::tempdir().unwrap();
        let store = std::sync::Arc::new(DurableLocal::open(folder.path()).unwrap());
        let path = Path::from("a/b/00000000000000000000.json");
        let tasks: Vec<_> = (0u8..16)
            .map(|writer| {
                let (store, path) = (store.clone(), path.clone());
                tokio::spawn(async move {
                    let payload = PutPayload::from(vec![writer; 1000]);
                    store.put_opts(&path, payload, PutMode::Create.into()).await.map(|_| writer)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(writer) => winners.push(writer),
                Err(error) => assert!(matches!(error, Error::AlreadyExists { .. }), "{error}"),
            }
        }
        assert_eq!(winners.len(), 1);
        let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
        assert_eq!(bytes, vec![winners[0]; 1000]);
        let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
        assert_eq!(listed.len(), 1);
    }

    #[tokio::test]
    async fn an_entity_tag_of_a_put_is_the_one_that_a_reader_sees() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableLocal::open(folder.path()).unwrap();
        let path = Path::from("x");
        let put = store.put_opts(&path, "one".into(), PutMode::Create.into()).await.unwrap();
        assert_eq!(put.e_tag, store.get(&path).await.unwrap().meta.e_tag);
        let again = store.put_opts(&path, "three".into(), PutOptions::default()).await.unwrap();
        assert_ne!(put.e_tag, again.e_tag);
    }

    #[tokio::test]
    async fn what_a_writer_that_died_left_is_found_once_it_is_old_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableLocal::open(folder.path()).unwrap();
        store.put(&Path::from("a/b/named.parquet"), "rows".into()).await.unwrap();
        let (_file, left) = stage(&folder.path().join("a/b/other.parquet")).unwrap();
        let hour = std::time::Duration::from_secs(3600);
        assert_eq!(left_staged(folder.path(), SystemTime::now() - hour).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(left_staged(folder.path(), SystemTime::now() + hour).unwrap(), [left]);
        assert_eq!(left_staged(&folder.path().join("nowhere"), SystemTime::now()).unwrap(), Vec::<PathBuf>::new());
    }
}
