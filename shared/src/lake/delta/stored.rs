//! Which tables there are.

use object_store::ObjectStore;

use super::DeltaLake;
use crate::{
    lake::{LakeError, LakeTable, TableName},
    position::StreamName,
};

impl DeltaLake {
    /// All tables of the lake, also those of streams that no profile describes any more, by name.
    ///
    /// # Errors
    /// The store's.
    pub async fn stored_tables(&self) -> Result<Vec<TableName>, LakeError> {
        let folders = self.store().objects().list_with_delimiter(None).await?.common_prefixes;
        let mut found = Vec::new();
        // A folder that cannot be a stream's is somebody else's, and one without a log is models or states alone.
        for stream in folders.iter().filter_map(|folder| StreamName::parse(folder.filename()?).ok()) {
            for table in LakeTable::ALL {
                if self.table(&stream, table).newest().await?.is_some() {
                    found.push(TableName { stream: stream.clone(), table });
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Says that a table is not there, and which ones are.
    pub async fn unknown_table(&self, table: &str) -> LakeError {
        match self.stored_tables().await {
            Ok(tables) if tables.is_empty() => {
                LakeError::UnknownTable { table: table.to_owned(), known: "none yet: ingest a file first".to_owned() }
            }
            Ok(tables) => {
                let known: Vec<String> = tables.iter().map(TableName::to_string).collect();
                LakeError::UnknownTable { table: table.to_owned(), known: known.join(", ") }
            }
            Err(error) => error,
        }
    }
}
