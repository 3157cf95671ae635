//! What the commits between two versions did to the rows of a table.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{Error as StoreError, ObjectStoreExt, path::Path};

use super::{DeltaLake, LakeFile, TableFiles, actions::LogLine, log::LoggedCommit};
use crate::{
    lake::{LakeError, LakeTable},
    position::StreamName,
};

/// Requests at once.
const READS: usize = 16;

/// What happened to the rows of a table between two versions. A commit that only moves rows to other files changes none.
#[derive(Debug, Clone, Default)]
pub struct FileChanges {
    /// Files whose rows are new, as they were written. Some may be merged with others by now.
    pub added: Vec<Arc<LakeFile>>,
    /// Files whose rows are gone, or came back changed in an added file.
    pub removed: Vec<Arc<LakeFile>>,
    /// Of the later version, the files that may hold a row of `added`: these themselves, and what they were merged into.
    pub holders: BTreeSet<Path>,
}

impl DeltaLake {
    /// What the commits after `from`, up to and with `to`, did to the rows; `from` is -1 for everything. `None` if the
    /// log cannot tell, because commits were cleaned up: compute from the whole table then.
    ///
    /// # Errors
    /// The store's, or [`LakeError::Corrupt`].
    pub async fn files_added_between(
        &self,
        stream: &StreamName,
        table: LakeTable,
        from: i64,
        to: i64,
    ) -> Result<Option<FileChanges>, LakeError> {
        let log = self.table(stream, table);
        let log = &log;
        let mut sum = Sum::default();
        let mut commits =
            stream::iter(from.saturating_add(1)..=to).map(|version| log.commit_at(version)).buffered(READS);
        while let Some(commit) = commits.try_next().await? {
            let Some(LoggedCommit { lines, .. }) = commit else { return Ok(None) };
            if !sum.add(&lines)? {
                return Ok(None);
            }
        }
        Ok(Some(sum.changes()))
    }

    /// Whether the store has all files of a list; those that a table no longer names may be gone.
    ///
    /// # Errors
    /// The store's.
    pub async fn are_stored(&self, table: &TableFiles) -> Result<bool, LakeError> {
        let mut found = stream::iter(&table.files)
            .map(|file| {
                let location = table.location(file);
                async move { self.store().objects().head(&location).await }
            })
            .buffer_unordered(READS);
        loop {
            match found.try_next().await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(true),
                Err(StoreError::NotFound { .. }) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The commits so far.
#[derive(Default)]
struct Sum {
    added: BTreeMap<Path, Arc<LakeFile>>,
    removed: BTreeMap<Path, Arc<LakeFile>>,
    holders: BTreeSet<Path>,
}

impl Sum {
    /// Adds a commit; `false` if it does not say enough.
    fn add(&mut self, lines: &[LogLine]) -> Result<bool, LakeError> {
        let mut merged_new_rows: BTreeSet<Option<NaiveDate>> = BTreeSet::new();
        for remove in lines.iter().filter_map(|line| line.remove.as_ref()) {
            let Some(file) = LakeFile::of_removed(remove)? else { return Ok(false) };
            let held_new_rows = self.holders.remove(&file.path);
            if !remove.data_change {
                if held_new_rows {
                    merged_new_rows.insert(file.bucket);
                }
            } else if self.added.remove(&file.path).is_none() {
                self.removed.insert(file.path.clone(), Arc::new(file));
            }
        }
        for add in lines.iter().filter_map(|line| line.add.as_ref()) {
            let file = LakeFile::of(add)?;
            if add.data_change {
                self.holders.insert(file.path.clone());
                self.added.insert(file.path.clone(), Arc::new(file));
            } else if merged_new_rows.contains(&file.bucket) {
                self.holders.insert(file.path);
            }
        }
        Ok(true)
    }

    fn changes(self) -> FileChanges {
        FileChanges {
            added: self.added.into_values().collect(),
            removed: self.removed.into_values().collect(),
            holders: self.holders,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::delta::actions::{Add, Remove};

    fn add(path: &str, data_change: bool) -> LogLine {
        let add = Add {
            path: path.to_owned(),
            partition_values: [("bucket".to_owned(), Some("2007-01-01".to_owned()))].into(),
            size: 1,
            modification_time: 0,
            data_change,
            stats: None,
        };
        LogLine { add: Some(add), ..LogLine::default() }
    }

    fn remove(path: &str, data_change: bool, size: Option<i64>) -> LogLine {
        let remove = Remove {
            path: path.to_owned(),
            deletion_timestamp: None,
            data_change,
            extended_file_metadata: None,
            partition_values: [("bucket".to_owned(), Some("2007-01-01".to_owned()))].into(),
            size,
        };
        LogLine { remove: Some(remove), ..LogLine::default() }
    }

    fn names<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Vec<&'a str> {
        paths.into_iter().map(Path::as_ref).collect()
    }

    fn paths(files: &[Arc<LakeFile>]) -> Vec<&str> {
        names(files.iter().map(|file| &file.path))
    }

    #[test]
    fn new_rows_are_followed_through_merges_to_the_file_that_holds_them_now() {
        let mut sum = Sum::default();
        assert!(sum.add(&[add("new", true)]).unwrap());
        assert!(
            sum.add(&[remove("old", false, Some(1)), remove("other", false, Some(1)), add("mixed", false)]).unwrap()
        );
        assert_eq!(names(&sum.holders), ["new"], "the first merge held no new row");
        assert!(sum.add(&[remove("new", false, Some(1)), remove("mixed", false, Some(1)), add("all", false)]).unwrap());
        let changes = sum.changes();
        assert_eq!((paths(&changes.added), paths(&changes.removed)), (vec!["new"], vec![]));
        assert_eq!(names(&changes.holders), ["all"]);
    }

    #[test]
    fn rows_that_changed_after_a_merge_are_found_in_the_merged_file() {
        let mut sum = Sum::default();
        assert!(sum.add(&[add("new", true)]).unwrap());
        assert!(sum.add(&[remove("new", false, Some(1)), remove("old", false, Some(1)), add("all", false)]).unwrap());
        assert!(sum.add(&[remove("all", true, Some(7)), add("marked", true)]).unwrap());
        let changes = sum.changes();
        assert_eq!((paths(&changes.added), paths(&changes.removed)), (vec!["marked", "new"], vec!["all"]));
        assert_eq!(changes.removed[0].size_bytes, 7);
        assert_eq!(names(&changes.holders), ["marked"]);
    }

    #[test]
    fn a_removal_whose_file_cannot_be_read_any_more_is_no_answer() {
        assert!(!Sum::default().add(&[remove("old", true, None)]).unwrap());
    }
}
