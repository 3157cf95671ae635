//! The object store below the lake: opened by URL, durable, with bounded retries.

mod durable_local;

use std::{
    collections::BTreeMap,
    io,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut},
    memory::InMemory,
    path::Path,
    prefix::PrefixStore,
};
use url::Url;

pub use durable_local::DurableLocal;
use durable_local::left_staged;

use super::LakeError;

/// Six tries within about half a minute: what a store needs to fail over, and less than a segment is long.
const RETRIES: usize = 5;
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
/// A data file of 64 MiB takes 30 s at 2 MB/s; what is slower than that is an outage.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The store of a lake; its root is the lake's root.
#[derive(Debug, Clone)]
pub struct LakeStore {
    url: String,
    objects: Arc<dyn ObjectStore>,
    /// Where it is on disk, if it is.
    folder: Option<PathBuf>,
}

/// Half-written files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StagedFiles {
    /// How many.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
}

impl LakeStore {
    /// Opens the store of a lake: a folder, `file:///...`, `s3://bucket/prefix`, or `memory://` for tests. A folder is
    /// made if it is not there; of `environment` only the usual `AWS_...` names are read, and only for S3.
    ///
    /// # Errors
    /// [`LakeError::BadUrl`], or [`LakeError::Refused`] if the folder cannot be made.
    pub fn open(url: &str, environment: &BTreeMap<String, String>) -> Result<Self, LakeError> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Self::open_folder(FilePath::new(url));
        };
        match scheme {
            "file" => {
                let path = Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
                Self::open_folder(&path.ok_or_else(|| bad_url(url, "write file:///absolute/path"))?)
            }
            "s3" | "s3a" => open_s3(rest, environment),
            "memory" => Ok(Self::in_memory()),
            _ => Err(bad_url(url, "write a folder, file:///path or s3://bucket/prefix")),
        }
    }

    /// A store that lives as long as its clones.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { url: "memory://".to_owned(), objects: Arc::new(InMemory::new()), folder: None }
    }

    /// A lake over a store of the caller's, such as one that fails on purpose.
    #[must_use]
    pub fn over(url: &str, objects: Arc<dyn ObjectStore>) -> Self {
        Self { url: url.to_owned(), objects, folder: None }
    }

    /// The address, for people; it never held a secret.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it is on disk, if it is.
    #[must_use]
    pub fn folder(&self) -> Option<&FilePath> {
        self.folder.as_deref()
    }

    /// The objects, by paths from the lake's root.
    #[must_use]
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Counts what writers that died before an instant left half-written in a folder, and deletes it if `delete`. A remote
    /// store keeps nothing of them.
    ///
    /// # Errors
    /// [`LakeError::Refused`] if the folder cannot be read or written.
    pub async fn sweep_staged(
        &self,
        below: &Path,
        before: DateTime<Utc>,
        delete: bool,
    ) -> Result<StagedFiles, LakeError> {
        let Some(root) = &self.folder else { return Ok(StagedFiles::default()) };
        let folder = below.parts().fold(root.clone(), |folder, part| folder.join(part.as_ref()));
        let swept = tokio::task::spawn_blocking(move || sweep(&folder, before.into(), delete)).await;
        let swept = swept.map_err(|error| LakeError::Unavailable { reason: error.to_string() })?;
        swept.map_err(|error| LakeError::Refused { reason: format!("folder {}: {error}", root.display()) })
    }

    fn open_folder(folder: &FilePath) -> Result<Self, LakeError> {
        let refused = |error: &dyn std::fmt::Display| LakeError::Refused {
            reason: format!("folder {}: {error}; choose another lake url or change its permissions", folder.display()),
        };
        std::fs::create_dir_all(folder).map_err(|error| refused(&error))?;
        let folder: PathBuf = folder.canonicalize().map_err(|error| refused(&error))?;
        let objects = DurableLocal::open(&folder).map_err(|error| refused(&error))?;
        let url = Url::from_directory_path(&folder).map_or_else(|()| folder.display().to_string(), String::from);
        Ok(Self { url, objects: Arc::new(objects), folder: Some(folder) })
    }
}

fn sweep(folder: &FilePath, before: SystemTime, delete: bool) -> io::Result<StagedFiles> {
    let mut swept = StagedFiles::default();
    for file in left_staged(folder, before)? {
        swept.bytes += file.metadata().map_or(0, |meta| meta.len());
        swept.files += 1;
        if delete {
            std::fs::remove_file(&file)?;
        }
    }
    Ok(swept)
}

fn open_s3(address: &str, environment: &BTreeMap<String, String>) -> Result<LakeStore, LakeError> {
    let (bucket, prefix) = address.split_once('/').unwrap_or((address, ""));
    let url = format!("s3://{address}");
    if bucket.is_empty() || bucket.contains('@') || bucket.contains(':') {
        // The text may hold credentials, which belong into the environment.
        return Err(bad_url("s3://...", "write s3://bucket/prefix; credentials, endpoint and region go into AWS_..."));
    }
    let mut builder = AmazonS3Builder::new();
    let mut endpoint_is_http = false;
    for (name, value) in environment {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("aws_") || value.is_empty() {
            continue;
        }
        let Ok(key) = name.parse::<AmazonS3ConfigKey>() else { continue };
        if matches!(key, AmazonS3ConfigKey::Endpoint | AmazonS3ConfigKey::S3Endpoint) {
            endpoint_is_http |= value.starts_with("http://");
        }
        builder = builder.with_config(key, value);
    }
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: RETRIES,
        retry_timeout: RETRY_TIMEOUT,
    };
    let store = builder
        .with_bucket_name(bucket)
        .with_client_options(ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_allow_http(endpoint_is_http))
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(retry)
        .build()
        .map_err(|error| bad_url(&url, &error.to_string()))?;
    let prefix = Path::parse(prefix).map_err(|error| bad_url(&url, &error.to_string()))?;
    let objects: Arc<dyn ObjectStore> =
        if prefix.as_ref().is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) };
    Ok(LakeStore { url, objects, folder: None })
}

fn bad_url(url: &str, reason: &str) -> LakeError {
    LakeError::BadUrl { url: url.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_says_what_to_write() {
        let error = LakeStore::open("gopher://lake", &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("gopher://lake") && error.contains("s3://bucket/prefix"), "{error}");
    }

    #[test]
    fn a_secret_in_the_address_is_not_repeated() {
        let error = LakeStore::open("s3://key:s3cr3t@bucket/x", &BTreeMap::new()).unwrap_err().to_string();
        assert!(!error.contains("s3cr3t"), "{error}");
    }

    #[test]
    fn a_plain_path_and_its_file_url_are_the_same_lake() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lake");
        let plain = LakeStore::open(path.to_str().unwrap(), &BTreeMap::new()).unwrap();
        let by_url = LakeStore::open(plain.url(), &BTreeMap::new()).unwrap();
        assert_eq!(plain.url(), by_url.url());
        assert!(path.is_dir());
    }
}
