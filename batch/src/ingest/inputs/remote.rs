//! Objects of a store, as files of this machine.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use futures::{StreamExt as _, TryStreamExt as _, future::ready};
use kilowatch_shared::{
    lake::{is_clock_skew, store::LakeStore},
    retry::RetryHint,
};
use object_store::{ObjectMeta, ObjectStoreExt as _, path::Path as ObjectPath};

use super::{Input, MAX_FILES, Mark, Named, Origin, OwnPlaces, Spool, is_hidden};
use crate::ingest::IngestError;

/// The objects of an address: one, or all below it if it ends with `/` or names the bucket alone.
pub(super) async fn objects(
    address: &str,
    environment: &BTreeMap<String, String>,
    own: &OwnPlaces,
) -> Result<Vec<Named>, IngestError> {
    let url = format!("s3://{address}");
    let (bucket, key) = address.split_once('/').unwrap_or((address, ""));
    let bad = |reason: String| IngestError::BadRequest { reason };
    let store = LakeStore::open(&format!("s3://{bucket}"), environment).map_err(|error| bad(error.to_string()))?;
    let object = |key, listed| Named::Object { store: store.clone(), bucket: bucket.to_owned(), key, listed };
    let prefix = ObjectPath::parse(key.trim_end_matches('/')).map_err(|error| bad(format!("{url}: {error}")))?;
    if !key.is_empty() && !key.ends_with('/') {
        return Ok(vec![object(prefix, None)]);
    }
    let left_out = AtomicBool::new(false);
    let is_file = |meta: &ObjectMeta| {
        if own.has_object(bucket, &meta.location) {
            left_out.store(true, Ordering::Relaxed);
            return false;
        }
        let below = meta.location.prefix_match(&prefix);
        // An object without a byte stands for a folder, in stores that show some.
        meta.size > 0 && below.is_some_and(|mut rest| !rest.any(|part| is_hidden(Path::new(part.as_ref()))))
    };
    let listed = store.objects().list(Some(&prefix)).try_filter(|meta| ready(is_file(meta))).take(MAX_FILES + 1);
    let mut listed: Vec<ObjectMeta> = listed.try_collect().await.map_err(|error| remote(&url, &error))?;
    listed.sort_unstable_by(|a, b| a.location.cmp(&b.location));
    if left_out.into_inner() {
        if listed.is_empty() {
            return Err(bad(format!("{url}: holds no object but those of kilowatch's own lake")));
        }
        tracing::info!(url, "kilowatch's own lake is left out");
    }
    if listed.is_empty() {
        return Err(IngestError::NothingThere { name: url, what: "holds no object" });
    }
    Ok(listed.into_iter().map(|meta| object(meta.location.clone(), Some(meta))).collect())
}

/// The address of an object.
pub(super) fn address(bucket: &str, key: &ObjectPath) -> String {
    format!("s3://{bucket}/{key}")
}

/// How the object looks; `None` where the store does not tell, and then it is fetched.
pub(super) async fn mark(store: &LakeStore, key: &ObjectPath, listed: Option<&ObjectMeta>) -> Option<Mark> {
    match listed {
        Some(meta) => Mark::of_object(meta),
        None => Mark::of_object(&store.objects().head(key).await.ok()?),
    }
}

/// An object in the spool.
pub(super) async fn fetched(
    store: &LakeStore,
    bucket: &str,
    key: &ObjectPath,
    spool: &Spool,
) -> Result<Input, IngestError> {
    let url = address(bucket, key);
    let name = PathBuf::from(&url);
    let got = store.objects().get(key).await.map_err(|error| remote(&url, &error))?;
    spool.check_room(&name, got.meta.size)?;
    let origin = Mark::of_object(&got.meta).map(|mark| Origin { place: name.clone(), mark, inputs: 1 });
    let mut file = spool.begin(&name)?;
    let mut body = got.into_stream();
    while let Some(bytes) = body.try_next().await.map_err(|error| remote(&url, &error))? {
        file.write(&bytes)?;
    }
    Ok(Input { origin, ..file.finish() })
}

fn remote(url: &str, error: &object_store::Error) -> IngestError {
    let (fix, retry) = match error {
        _ if is_clock_skew(error) => {
            ("set the clock of this machine: the store refuses what was signed minutes ago or ahead", RetryHint::Never)
        }
        object_store::Error::NotFound { .. } => ("is the address right?", RetryHint::Never),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            ("credentials, endpoint and region come from AWS_...", RetryHint::Never)
        }
        _ => ("the store may be away; run it again", RetryHint::WithBackoff),
    };
    IngestError::Remote { url: url.to_owned(), reason: error.to_string(), fix, retry }
}
