//! What readers get of a table: its files at a version, and what changed between two.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::datatypes::SchemaRef;
use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;

use super::{DeltaLake, LakeFile, actions::bucket_of_values, log::LoggedCommit};
use crate::{
    checkpoint::SourcePartition,
    lake::{LakeError, LakeSnapshot, LakeTable, paths::data_file},
    position::{Offset, StreamName},
};

/// Commits read at once.
const READS: usize = 16;

/// A table at a version, as a list of data files.
#[derive(Debug, Clone)]
pub struct TableFiles {
    /// The version.
    pub version: i64,
    /// L of every partition of a log at this version.
    pub closed: BTreeMap<SourcePartition, Offset>,
    /// The data files, by path.
    pub files: Vec<Arc<LakeFile>>,
    /// The columns of the data files; an older file may lack some of them. The bucket is not among them.
    pub schema: SchemaRef,
    /// The table's folder, from the lake's root.
    pub folder: Path,
}

impl TableFiles {
    /// Where a file is, from the lake's root.
    #[must_use]
    pub fn location(&self, file: &LakeFile) -> Path {
        data_file(&self.folder, &file.path)
    }

    /// The base for a commit that was decided on this version.
    #[must_use]
    pub fn snapshot(&self) -> LakeSnapshot {
        LakeSnapshot { version: Some(self.version), closed: self.closed.clone() }
    }

    /// The same version with fewer files, such as those of the buckets that a query needs.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&LakeFile) -> bool) -> Self {
        Self { files: self.files.iter().filter(|file| keep(file)).cloned().collect(), ..self.clone() }
    }
}

/// What happened to the rows of a table between two versions. Files that were only rewritten, with the same rows, are
/// in neither list.
#[derive(Debug, Clone, Default)]
pub struct FileChanges {
    /// Files whose rows are new.
    pub added: Vec<Arc<LakeFile>>,
    /// Files whose rows are gone, or came back changed in an added file.
    pub removed: Vec<RemovedFile>,
}

/// A data file that is no longer in its table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemovedFile {
    /// Where it was, from the table's folder.
    pub path: Path,
    /// The bucket of its rows, if the log says so.
    pub bucket: Option<NaiveDate>,
}

impl DeltaLake {
    /// A table at a version, or at its newest one.
    ///
    /// # Errors
    /// [`LakeError::NoSuchTable`], or [`LakeError::NoSuchVersion`] if the log does not reach back to it (any more).
    pub async fn open_table(
        &self,
        stream: &StreamName,
        table: LakeTable,
        version: Option<i64>,
    ) -> Result<TableFiles, LakeError> {
        let log = self.table(stream, table);
        let state = match version {
            None => log.existing().await?,
            Some(version) => log.at(version).await?,
        };
        Ok(TableFiles {
            version: state.version,
            closed: state.closed(stream),
            files: state.files().cloned().collect(),
            schema: state.metadata()?.file_schema()?,
            folder: log.folder.clone(),
        })
    }

    /// What the commits after `from`, up to and with `to`, did to the rows; `from` is -1 for everything. `None` if the
    /// log cannot tell, because commits were cleaned up or new rows were merged with old ones: compute from the whole
    /// table then.
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
        let mut added: BTreeMap<Path, Arc<LakeFile>> = BTreeMap::new();
        let mut removed = BTreeSet::new();
        let mut commits =
            stream::iter(from.saturating_add(1)..=to).map(|version| log.commit_at(version)).buffered(READS);
        while let Some(commit) = commits.try_next().await? {
            let Some(LoggedCommit { lines, .. }) = commit else { return Ok(None) };
            let mut merges_new_rows = false;
            for remove in lines.iter().filter_map(|line| line.remove.as_ref()) {
                let path = Path::from_url_path(&remove.path)
                    .map_err(|error| LakeError::Corrupt { reason: error.to_string() })?;
                if added.remove(&path).is_some() {
                    merges_new_rows |= !remove.data_change;
                } else if remove.data_change {
                    removed.insert(RemovedFile { path, bucket: bucket_of_values(&remove.partition_values) });
                }
            }
            if merges_new_rows {
                return Ok(None);
            }
            for add in lines.iter().filter_map(|line| line.add.as_ref()).filter(|add| add.data_change) {
                let file = LakeFile::of(add)?;
                added.insert(file.path.clone(), Arc::new(file));
            }
        }
        Ok(Some(FileChanges { added: added.into_values().collect(), removed: removed.into_iter().collect() }))
    }
}
