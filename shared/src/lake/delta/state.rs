//! The state of a table at a version: the sum of its commits.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, NaiveDate, Utc};
use object_store::path::Path;

use super::actions::{Add, LogLine, Metadata, OUR_KEY, PROTOCOL, Protocol, Remove, bucket_of_values};
use crate::{
    checkpoint::SourcePartition,
    lake::{LakeError, files::FileStats},
    position::{Offset, StreamName},
};

/// A data file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeFile {
    /// Where it is, from the table's folder.
    pub path: Path,
    /// Its size.
    pub size_bytes: u64,
    /// The bucket of all its rows.
    pub bucket: Option<NaiveDate>,
    /// When it was written.
    pub modified_at: DateTime<Utc>,
    /// Rows and ranges.
    pub stats: FileStats,
    /// The path as the log spells it; a removal has to spell it the same way.
    pub(super) logged_path: String,
}

impl LakeFile {
    pub(super) fn of(add: &Add) -> Result<Self, LakeError> {
        Ok(Self {
            path: path_of(&add.path)?,
            size_bytes: u64::try_from(add.size).unwrap_or_default(),
            bucket: bucket_of_values(&add.partition_values),
            modified_at: DateTime::from_timestamp_millis(add.modification_time).unwrap_or_default(),
            stats: FileStats::from_json(add.stats.as_deref()),
            logged_path: add.path.clone(),
        })
    }

    /// A file that no table has, for whoever decides about files.
    #[must_use]
    pub fn for_test(path: &str, bucket: NaiveDate, size_bytes: u64, stats: FileStats) -> Self {
        Self {
            path: Path::from(path),
            size_bytes,
            bucket: Some(bucket),
            modified_at: DateTime::default(),
            stats,
            logged_path: path.to_owned(),
        }
    }

    /// A file that is no longer in its table, as far as the log still tells; `None` if not even its size.
    pub(super) fn of_removed(remove: &Remove) -> Result<Option<Self>, LakeError> {
        let Some(size) = remove.size else { return Ok(None) };
        Ok(Some(Self {
            path: path_of(&remove.path)?,
            size_bytes: u64::try_from(size).unwrap_or_default(),
            bucket: bucket_of_values(&remove.partition_values),
            modified_at: DateTime::default(),
            stats: FileStats::default(),
            logged_path: remove.path.clone(),
        }))
    }
}

/// A path outside the table's folder is written as a URL; none of ours is.
fn path_of(logged: &str) -> Result<Path, LakeError> {
    Path::from_url_path(logged)
        .ok()
        .filter(|_| !logged.contains("://"))
        .ok_or_else(|| LakeError::Corrupt { reason: format!("data file `{logged}` is not in the lake") })
}

/// The value of an app id and the version whose commit set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TxnValue {
    pub value: i64,
    pub set_by: i64,
}

/// The app id under which a table, named as in errors, says which versions a vacuum left.
pub(super) fn horizon_app_id(table: &str) -> String {
    let stream = table.split_once('/').map_or(table, |(stream, _)| stream);
    format!("{stream}/vacuum")
}

#[derive(Debug, Clone)]
pub(super) struct TableState {
    /// `<stream>/<table>`, for errors.
    table: Arc<str>,
    pub version: i64,
    /// The version that the state was begun from: 0, or that of a checkpoint.
    pub begun_at: i64,
    /// Entity tag of the newest commit's file: another tag under the same name is another table.
    pub commit_tag: Option<String>,
    protocol: Protocol,
    metadata: Option<Metadata>,
    txns: HashMap<String, TxnValue>,
    files: BTreeMap<Path, Arc<LakeFile>>,
    foreign_restore: Option<i64>,
}

impl TableState {
    /// The state before the commit or checkpoint `begun_at`.
    pub(super) fn before(table: &Arc<str>, begun_at: i64) -> Self {
        Self {
            table: table.clone(),
            version: begun_at - 1,
            begun_at,
            commit_tag: None,
            protocol: PROTOCOL,
            metadata: None,
            txns: HashMap::new(),
            files: BTreeMap::new(),
            foreign_restore: None,
        }
    }

    /// Adds a commit, or the lines of a checkpoint.
    pub(super) fn apply(&mut self, version: i64, tag: Option<String>, lines: &[LogLine]) -> Result<(), LakeError> {
        // Everything that can fail comes first, so that a broken commit leaves the state whole.
        let added =
            lines.iter().filter_map(|line| line.add.as_ref()).map(LakeFile::of).collect::<Result<Vec<_>, _>>()?;
        // Within one commit a path may be removed and added again.
        for remove in lines.iter().filter_map(|line| line.remove.as_ref()) {
            if let Ok(path) = Path::from_url_path(&remove.path) {
                self.files.remove(&path);
            }
        }
        for line in lines {
            if let Some(protocol) = line.protocol {
                self.protocol = protocol;
            }
            if let Some(metadata) = &line.meta_data {
                self.metadata = Some(metadata.clone());
            }
            if let Some(txn) = &line.txn {
                self.txns.insert(txn.app_id.clone(), TxnValue { value: txn.version, set_by: version });
            }
            if let Some(info) = &line.commit_info {
                let operation = info.get("operation").and_then(|operation| operation.as_str());
                if operation == Some("RESTORE") && !info.contains_key(OUR_KEY) {
                    self.foreign_restore = Some(version);
                }
            }
        }
        self.files.extend(added.into_iter().map(|file| (file.path.clone(), Arc::new(file))));
        self.version = version;
        self.commit_tag = tag;
        Ok(())
    }

    /// Fails unless this program understands the table and may trust its L.
    pub(super) fn check_readable(&self) -> Result<(), LakeError> {
        if let Some(version) = self.foreign_restore {
            return Err(LakeError::ForeignRestore { table: self.table.to_string(), version });
        }
        self.check_protocol("reader", self.protocol.min_reader_version, PROTOCOL.min_reader_version)?;
        self.metadata().map(|_| ())
    }

    /// Fails unless this program may write to the table.
    pub(super) fn check_writable(&self) -> Result<(), LakeError> {
        self.check_protocol("writer", self.protocol.min_writer_version, PROTOCOL.min_writer_version)
    }

    pub(super) fn metadata(&self) -> Result<&Metadata, LakeError> {
        self.metadata.as_ref().ok_or_else(|| LakeError::Corrupt {
            reason: format!("the log of table `{}` has no metadata up to version {}", self.table, self.version),
        })
    }

    pub(super) fn txn(&self, app_id: &str) -> Option<TxnValue> {
        self.txns.get(app_id).copied()
    }

    /// All app ids with their values.
    pub(super) fn txns(&self) -> impl Iterator<Item = (&str, i64)> {
        self.txns.iter().map(|(app_id, txn)| (app_id.as_str(), txn.value))
    }

    /// The oldest version that is still readable, if a vacuum made it younger than the first.
    pub(super) fn horizon(&self) -> Option<i64> {
        self.txn(&horizon_app_id(&self.table)).map(|txn| txn.value)
    }

    pub(super) fn file(&self, path: &Path) -> Option<&Arc<LakeFile>> {
        self.files.get(path)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &Arc<LakeFile>> {
        self.files.values()
    }

    /// L of every partition of a log.
    pub(super) fn closed(&self, stream: &StreamName) -> BTreeMap<SourcePartition, Offset> {
        self.txns
            .iter()
            .filter_map(|(app_id, txn)| {
                let rest = app_id.strip_prefix(stream.as_str())?.strip_prefix('/')?;
                let partition = SourcePartition::try_from(rest.to_owned()).ok()?;
                let offset = Offset::try_from_i64(txn.value).ok()?;
                partition.source.is_log().then_some((partition, offset))
            })
            .collect()
    }

    fn check_protocol(&self, side: &str, needs: i32, has: i32) -> Result<(), LakeError> {
        if needs <= has {
            return Ok(());
        }
        Err(LakeError::TooNew { table: self.table.to_string(), needs: format!("{side} {needs}") })
    }
}
