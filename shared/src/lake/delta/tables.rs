//! What readers get of a table: its files at a version.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use object_store::path::Path;

use super::{DeltaLake, LakeFile};
use crate::{
    checkpoint::SourcePartition,
    lake::{LakeError, LakeSnapshot, LakeTable, paths::data_file, schema::readings_schema},
    position::{Offset, StreamName},
    stream::StreamProfile,
};

/// A table at a version, as a list of data files.
#[derive(Debug, Clone)]
pub struct TableFiles {
    /// The version.
    pub version: i64,
    /// L of every partition of a log at this version.
    pub closed: BTreeMap<SourcePartition, Offset>,
    /// From when on the table has its rows, if an age limit ever took some.
    pub floor: Option<DateTime<Utc>>,
    /// The offset from which on it has all rows of a partition, if an age limit ever took some of it: replays begin there.
    pub replay_from: BTreeMap<SourcePartition, Offset>,
    /// The data files, by path.
    pub files: Vec<Arc<LakeFile>>,
    /// The columns of the data files; an older file may lack some of them. The bucket is not among them.
    pub schema: SchemaRef,
    /// Columns that another program made, of types that kilowatch does not write; they are not in `schema`.
    pub unknown_columns: Vec<String>,
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

    /// The same table with these files instead, which it may no longer name.
    #[must_use]
    pub fn of_files(&self, files: Vec<Arc<LakeFile>>) -> Self {
        Self { files, ..self.clone() }
    }

    /// The same version with the columns of the profile that it does not have (yet): they read as null.
    #[must_use]
    pub fn with_columns_of(&self, profile: &StreamProfile) -> Self {
        let wanted = readings_schema(profile);
        let missing: Vec<FieldRef> = wanted
            .fields()
            .iter()
            .filter(|field| self.schema.column_with_name(field.name()).is_none())
            .map(|field| Arc::new(field.as_ref().clone().with_nullable(true)))
            .collect();
        if missing.is_empty() {
            return self.clone();
        }
        let fields: Vec<FieldRef> = self.schema.fields().iter().cloned().chain(missing).collect();
        Self { schema: Arc::new(Schema::new(fields)), ..self.clone() }
    }

    /// Fails for a table of which a file cannot be written anew with all that it holds.
    ///
    /// # Errors
    /// [`LakeError::Refused`] if another program gave it a column of a type that kilowatch does not write.
    pub fn check_rewritable(&self) -> Result<(), LakeError> {
        self.unknown_columns.first().map_or(Ok(()), |column| {
            let reason = format!(
                "column `{column}` of table `{}` has a type that kilowatch cannot rewrite; do this with the program that \
                 added the column",
                self.folder
            );
            Err(LakeError::Refused { reason })
        })
    }

    /// The same version with fewer files, such as those of the buckets that a query needs.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&LakeFile) -> bool) -> Self {
        Self { files: self.files.iter().filter(|file| keep(file)).cloned().collect(), ..self.clone() }
    }
}

impl DeltaLake {
    /// A table at its newest version; `None` if there is none.
    ///
    /// # Errors
    /// The store's.
    pub async fn newest_table(&self, stream: &StreamName, table: LakeTable) -> Result<Option<TableFiles>, LakeError> {
        match self.open_table(stream, table, None).await {
            Ok(table) => Ok(Some(table)),
            Err(LakeError::NoSuchTable { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

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
            floor: state.floor(stream),
            replay_from: state.replay_from(stream),
            files: state.files().cloned().collect(),
            schema: state.metadata()?.file_schema()?,
            unknown_columns: state.metadata()?.unknown_columns()?,
            folder: log.folder.clone(),
        })
    }
}
