//! A profile may gain measures, tags and units while a table has rows: the table gains columns, and nothing else changes.
//!
//! It is a commit of metadata alone. Rows that are there have no value in a new column, and a member that runs on with the
//! profile of before appends rows that have none either: each commit is decided on the newest state, so none of them takes
//! a column back.

use serde::Serialize;
use serde_json::Map;

use super::{
    DeltaLake,
    actions::{LogLine, Metadata},
    commit::Draft,
};
use crate::{
    lake::{CommitOutcome, LakeError, LakeTable, schema::declared_schema},
    stream::StreamProfile,
};

/// What a profile changes about the columns of its stream's readings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ColumnChanges {
    /// Columns and units that the table gains.
    pub gained: Vec<String>,
    /// What would change the meaning of rows that are there, each with what to do: no row is appended then.
    pub refused: Vec<String>,
    /// Columns that the profile no longer names, each with what to do: rows are appended without them.
    pub lost: Vec<String>,
    /// Columns that another program added: rows are appended without them, and nothing reads them but `kilowatch lake`.
    pub foreign: Vec<String>,
}

impl DeltaLake {
    /// What the profile would change about the table of its readings; nothing while there is none.
    ///
    /// # Errors
    /// The store's.
    pub async fn column_changes(&self, profile: &StreamProfile) -> Result<ColumnChanges, LakeError> {
        let table = LakeTable::Readings;
        let Some(state) = self.table(&profile.name, table).newest().await? else { return Ok(ColumnChanges::default()) };
        state.metadata()?.changes_by(&declared_schema(profile, table))
    }

    /// Gives the table of a stream's readings the columns and units that the profile has gained; tells the version, if that
    /// took a commit. While there is no table, its first rows will make it.
    ///
    /// # Errors
    /// [`LakeError::Refused`] if the profile gives a column another type or unit; the store's.
    pub async fn expand(&self, profile: &StreamProfile) -> Result<Option<i64>, LakeError> {
        let columns = declared_schema(profile, LakeTable::Readings);
        let log = self.table(&profile.name, LakeTable::Readings);
        let Some(state) = log.newest().await? else { return Ok(None) };
        if state.metadata()?.widened(&columns)?.is_none() {
            return Ok(None);
        }
        let line = |metadata: Metadata| LogLine { meta_data: Some(metadata), ..LogLine::default() };
        let outcome = log
            .commit(self.now(), |state| {
                let widened = state.map(|state| state.metadata()?.widened(&columns)).transpose()?.flatten();
                // Somebody else, or a segment's commit, may have brought the columns meanwhile.
                Ok(widened.map(|metadata| Draft {
                    operation: "ADD COLUMNS",
                    facts: Map::new(),
                    lines: vec![line(metadata)],
                }))
            })
            .await?;
        Ok(match outcome {
            CommitOutcome::Committed(version) => Some(version),
            CommitOutcome::Conflict => None,
        })
    }
}
