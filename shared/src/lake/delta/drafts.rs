//! Data files that wait for their commit: nobody but their writer knows of them, and a vacuum takes them for leftovers of
//! a job that died once they are old.

use chrono::TimeDelta;
use futures::{StreamExt, stream};
use object_store::{Error as StoreError, ObjectStoreExt, path::Path};

use super::{DeltaLake, WrittenFile};
use crate::{
    lake::{
        LakeError, LakeTable,
        paths::{data_file, table_folder},
    },
    stream::StreamProfile,
};

/// Younger than this, a file is safe from any vacuum: they wait for a day. A job is older than this only where its process
/// or its machine was suspended.
const SAFE_AGE: TimeDelta = TimeDelta::hours(12);

/// Requests at once.
const REQUESTS: usize = 16;

impl DeltaLake {
    /// Fails if a vacuum may have taken one of the files that are about to be committed, and has done so.
    pub(super) async fn check_drafted(
        &self,
        profile: &StreamProfile,
        table: LakeTable,
        files: &[WrittenFile],
    ) -> Result<(), LakeError> {
        let safe_since = (self.now() - SAFE_AGE).timestamp_millis();
        if files.iter().all(|file| file.written_at_millis() >= safe_since) {
            return Ok(());
        }
        let folder = table_folder(&profile.name, table);
        let locations: Vec<Path> = files.iter().map(|file| data_file(&folder, &file.path)).collect();
        let mut found = stream::iter(locations)
            .map(|location| async move { self.store().objects().head(&location).await })
            .buffer_unordered(REQUESTS);
        let mut missing = 0;
        while let Some(head) = found.next().await {
            match head {
                Ok(_) => {}
                Err(StoreError::NotFound { .. }) => missing += 1,
                Err(error) => return Err(error.into()),
            }
        }
        if missing == 0 { Ok(()) } else { Err(LakeError::DraftGone { table: folder.to_string(), missing }) }
    }
}
