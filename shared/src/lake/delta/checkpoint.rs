//! Checkpoints: the state at a version in one file, so that nobody has to read a year of commits.

use std::io::Cursor;

use arrow::json::LineDelimitedWriter;
use bytes::Bytes;
use deltalake_core::{
    DeltaTable, checkpoints,
    logstore::{StorageConfig, default_logstore},
};
use futures::TryStreamExt;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, prefix::PrefixStore};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde::Deserialize;
use std::sync::Arc;
use url::Url;

use super::{
    DeltaLake,
    actions::{LogLine, parse_lines},
    log::TableLog,
    state::TableState,
};
use crate::{
    lake::{
        LakeError, LakeTable,
        paths::{log_file, log_folder},
    },
    position::StreamName,
};

/// The actions that a state is made of.
const ACTIONS: [&str; 4] = ["protocol", "metaData", "txn", "add"];

/// Where a checkpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Checkpoint {
    version: i64,
    /// How many files it has, if it is spread over several.
    #[serde(default)]
    parts: Option<u32>,
}

impl Checkpoint {
    pub(super) const fn version(self) -> i64 {
        self.version
    }

    fn file_names(self) -> Vec<String> {
        let version = self.version;
        match self.parts {
            None => vec![format!("{version:020}.checkpoint.parquet")],
            Some(parts) => {
                (1..=parts).map(|part| format!("{version:020}.checkpoint.{part:010}.{parts:010}.parquet")).collect()
            }
        }
    }

    fn of_file_name(name: &str) -> Option<Self> {
        let fields: Vec<&str> = name.split('.').collect();
        match fields.as_slice() {
            [version, "checkpoint", "parquet"] => Some(Self { version: version.parse().ok()?, parts: None }),
            [version, "checkpoint", _, parts, "parquet"] => {
                Some(Self { version: version.parse().ok()?, parts: Some(parts.parse().ok()?) })
            }
            _ => None,
        }
    }
}

impl DeltaLake {
    /// Writes a checkpoint of a table's newest version if its log has grown by `every_commits` since the last one.
    /// Gives the version that was written. Belongs into a housekeeping job; segment commits never wait for it.
    ///
    /// # Errors
    /// [`LakeError::NoSuchTable`], or the store's.
    pub async fn checkpoint(
        &self,
        stream: &StreamName,
        table: LakeTable,
        every_commits: u32,
    ) -> Result<Option<i64>, LakeError> {
        let log = self.table(stream, table);
        let newest = log.existing().await?;
        let last = hinted_checkpoint(&log).await?.map_or(-1, |checkpoint| checkpoint.version);
        if newest.version - last < i64::from(every_commits) {
            return Ok(None);
        }
        let root = log.objects.clone();
        let table_root = Arc::new(PrefixStore::new(root.clone(), log.folder.clone()));
        let url = Url::parse("kilowatch-lake:///")
            .and_then(|url| url.join(&format!("{}/", log.folder)))
            .map_err(|error| LakeError::Corrupt { reason: error.to_string() })?;
        let mut delta = DeltaTable::new(default_logstore(table_root, root, &url, &StorageConfig::default()));
        delta.load().await.map_err(delta_error)?;
        checkpoints::create_checkpoint(&delta, None).await.map_err(delta_error)?;
        Ok(delta.version().and_then(|version| i64::try_from(version).ok()))
    }
}

/// The checkpoint that `_last_checkpoint` names, which is only a hint.
pub(super) async fn hinted_checkpoint(log: &TableLog) -> Result<Option<Checkpoint>, LakeError> {
    let bytes = match log.objects.get(&log_file(&log.folder, "_last_checkpoint")).await {
        Ok(found) => found.bytes().await?,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Ok(hint) = serde_json::from_slice::<Checkpoint>(&bytes) else { return Ok(None) };
    let Some(first) = hint.file_names().into_iter().next() else { return Ok(None) };
    match log.objects.head(&log_file(&log.folder, &first)).await {
        Ok(_) => Ok(Some(hint)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The newest whole checkpoint at or below a version, by listing the log.
pub(super) async fn find_checkpoint(log: &TableLog, at_most: i64) -> Result<Option<Checkpoint>, LakeError> {
    let found = whole_checkpoints(log).await?;
    Ok(found.into_iter().rev().find(|checkpoint| checkpoint.version <= at_most))
}

/// The version of the oldest whole checkpoint.
pub(super) async fn oldest_checkpoint(log: &TableLog) -> Result<Option<i64>, LakeError> {
    Ok(whole_checkpoints(log).await?.first().map(|checkpoint| checkpoint.version))
}

/// The checkpoints all of whose files are there, ascending.
pub(super) async fn whole_checkpoints(log: &TableLog) -> Result<Vec<Checkpoint>, LakeError> {
    let mut found: std::collections::BTreeMap<Checkpoint, usize> = std::collections::BTreeMap::new();
    let mut listing = log.objects.list(Some(&log_folder(&log.folder)));
    loop {
        let meta = match listing.try_next().await {
            Ok(Some(meta)) => meta,
            Ok(None) | Err(StoreError::NotFound { .. }) => break,
            Err(error) => return Err(error.into()),
        };
        if let Some(checkpoint) = meta.location.filename().and_then(Checkpoint::of_file_name) {
            *found.entry(checkpoint).or_default() += 1;
        }
    }
    Ok(found.into_iter().filter(|(found, files)| found.file_names().len() == *files).map(|(found, _)| found).collect())
}

/// The state that a checkpoint holds.
pub(super) async fn read_checkpoint(log: &TableLog, checkpoint: &Checkpoint) -> Result<TableState, LakeError> {
    let mut lines = Vec::new();
    for name in checkpoint.file_names() {
        let bytes = log.objects.get(&log_file(&log.folder, &name)).await?.bytes().await?;
        let decoded = tokio::task::spawn_blocking(move || decode(bytes)).await;
        lines.extend(decoded.map_err(|error| LakeError::Unavailable { reason: error.to_string() })??);
    }
    let mut state = TableState::before(&log.name, checkpoint.version);
    state.apply(checkpoint.version, None, &lines)?;
    Ok(state)
}

/// A checkpoint has one column per kind of action; as JSON its rows are the lines of a commit.
fn decode(bytes: Bytes) -> Result<Vec<LogLine>, LakeError> {
    let corrupt = |error: &dyn std::fmt::Display| LakeError::Corrupt { reason: format!("a checkpoint: {error}") };
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| corrupt(&e))?;
    let present = reader.schema().fields().iter().map(|field| field.name().as_str());
    let wanted: Vec<&str> = present.filter(|name| ACTIONS.contains(name)).collect();
    let mask = ProjectionMask::columns(reader.parquet_schema(), wanted.iter().copied());
    let mut json = LineDelimitedWriter::new(Cursor::new(Vec::new()));
    for batch in reader.with_projection(mask).build().map_err(|e| corrupt(&e))? {
        json.write(&batch.map_err(|e| corrupt(&e))?).map_err(|e| corrupt(&e))?;
    }
    json.finish().map_err(|e| corrupt(&e))?;
    parse_lines(json.into_inner().get_ref())
}

fn delta_error(error: deltalake_core::DeltaTableError) -> LakeError {
    match error {
        deltalake_core::DeltaTableError::ObjectStore { source } => source.into(),
        other => LakeError::Unavailable { reason: other.to_string() },
    }
}
