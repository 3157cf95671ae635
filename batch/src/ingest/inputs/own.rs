//! What is kilowatch's own, and no history: taken for input it would bring erased devices back, and itself again and again.

use std::path::{Path, PathBuf};

use kilowatch_shared::lake::store::LakeStore;
use object_store::path::Path as ObjectPath;

/// The data folder, and the lake wherever it is.
#[derive(Debug, Clone, Default)]
pub struct OwnPlaces {
    /// Folders, without links.
    folders: Vec<PathBuf>,
    /// Bucket and prefix of a lake of objects.
    lake: Option<(String, ObjectPath)>,
}

impl OwnPlaces {
    /// Those of a process with this data folder, over this lake.
    #[must_use]
    pub fn of(data_dir: &Path, lake: &LakeStore) -> Self {
        let folders = [Some(data_dir), lake.folder()].into_iter().flatten();
        let (bucket, prefix) =
            lake.url().strip_prefix("s3://").map_or(("", ""), |rest| rest.split_once('/').unwrap_or((rest, "")));
        Self {
            folders: folders.filter_map(|folder| folder.canonicalize().ok()).collect(),
            lake: (!bucket.is_empty()).then(|| (bucket.to_owned(), ObjectPath::from(prefix))),
        }
    }

    /// Whether a file or folder lies in one of them.
    pub(super) fn has_file(&self, path: &Path) -> bool {
        !self.folders.is_empty()
            && path.canonicalize().is_ok_and(|real| self.folders.iter().any(|own| real.starts_with(own)))
    }

    /// Whether an object is of the lake.
    pub(super) fn has_object(&self, bucket: &str, key: &ObjectPath) -> bool {
        self.lake.as_ref().is_some_and(|(own, prefix)| own == bucket && key.prefix_matches(prefix))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn objects_of_the_lake_are_told_from_others_of_its_bucket() {
        let lake = LakeStore::over("s3://meters/lake/one", Arc::new(InMemory::new()));
        let own = OwnPlaces::of(Path::new("/nowhere"), &lake);
        let has = |bucket: &str, key: &str| own.has_object(bucket, &ObjectPath::from(key));
        assert!(has("meters", "lake/one/household/readings/a.parquet"));
        assert!(
            !has("meters", "lake/oneself/a.csv") && !has("meters", "inbox/a.csv") && !has("other", "lake/one/a.csv")
        );
    }

    #[test]
    fn a_lake_beside_the_data_folder_is_left_out_as_well() {
        let (data, lake, other) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = LakeStore::open(&lake.path().display().to_string(), &Default::default()).unwrap();
        let own = OwnPlaces::of(data.path(), &store);
        assert!(own.has_file(data.path()) && own.has_file(lake.path()));
        assert!(!own.has_file(other.path()));
    }
}
