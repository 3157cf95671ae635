//! What is kilowatch's own, and no history: taken for input it would bring erased devices back, and itself again and again.

use std::path::{Path, PathBuf};

use kilowatch_shared::lake::{paths::is_of_a_lake, store::LakeStore};
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
        let lake = lake.url().strip_prefix("s3://").and_then(|rest| {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            Some((bucket.to_owned(), ObjectPath::parse(prefix).ok()?))
        });
        Self { folders: folders.filter_map(|folder| folder.canonicalize().ok()).collect(), lake }
    }

    /// Whether a file or folder lies in one of them.
    pub(super) fn has_file(&self, path: &Path) -> bool {
        !self.folders.is_empty()
            && path.canonicalize().is_ok_and(|real| self.folders.iter().any(|own| real.starts_with(own)))
    }

    /// Whether an object is of the lake. What else lies below its root is not: the root may be the whole bucket.
    pub(super) fn has_object(&self, bucket: &str, key: &ObjectPath) -> bool {
        let lake = self.lake.as_ref().filter(|(own, _)| own == bucket);
        let below = lake.and_then(|(_, root)| Some(key.prefix_match(root)?.collect::<ObjectPath>()));
        below.is_some_and(|below| is_of_a_lake(&below))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn objects_of_the_lake_are_told_from_others_of_its_bucket() {
        for (root, prefix) in [("s3://meters/lake/~one", "lake/~one/"), ("s3://meters", "")] {
            let lake = LakeStore::over(root, Arc::new(InMemory::new()));
            let own = OwnPlaces::of(Path::new("/nowhere"), &lake);
            let has =
                |bucket: &str, key: &str| own.has_object(bucket, &ObjectPath::parse(format!("{prefix}{key}")).unwrap());
            for ours in [
                "grid/readings/bucket=2025-01-01/a.parquet",
                "grid/dead_letters/a.parquet",
                "grid/state/k/0/7",
                "models/7/model",
            ] {
                assert!(has("meters", ours) && !has("other", ours), "{root}: {ours}");
            }
            assert!(!has("meters", "inbox/a.csv") && !has("meters", "a.csv"), "{root}");
        }
        let lake = LakeStore::over("s3://meters/lake/one", Arc::new(InMemory::new()));
        let beside = ObjectPath::from("lake/oneself/readings/a.parquet");
        assert!(!OwnPlaces::of(Path::new("/nowhere"), &lake).has_object("meters", &beside));
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
