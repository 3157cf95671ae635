//! Data files whose rows are too old leave their table.
//!
//! Their commit says what is left: the `txn` `<stream>/expire` is the day from which on the table has its rows, and
//! `<stream>/expire/<source>/<partition>` the offset from which on it has all rows of that partition. The readings below that
//! offset cannot be replayed any more; the detectors' state at it is kept, and stands in for them.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};

use super::{
    DeltaLake, LakeFile,
    actions::LogLine,
    commit::Draft,
    rewrite::{holds_all, removal},
    state::TableState,
};
use crate::{
    checkpoint::{OffsetSpan, SourcePartition},
    lake::{CommitOutcome, LakeError, LakeTable, schema::end_of_bucket},
    position::{Offset, PartitionId, StreamName},
};

/// Data files that are to leave a table.
#[derive(Debug, Clone, Default)]
pub struct ExpiredFiles {
    /// The files, all rows of which are of before the floor.
    pub files: Vec<Arc<LakeFile>>,
    /// From when on the table has its rows then.
    pub floor: DateTime<Utc>,
    /// Where a replay of each partition begins then; no row of the files lies at or above it.
    pub replay_from: BTreeMap<SourcePartition, Offset>,
}

impl LakeFile {
    /// Whether all its rows are of before an instant; `false` if nothing tells.
    #[must_use]
    pub fn is_before(&self, instant: DateTime<Utc>) -> bool {
        match self.stats.event_time {
            Some((_, last)) => last < instant,
            None => self.bucket.and_then(end_of_bucket).is_some_and(|end| end <= instant),
        }
    }
}

impl DeltaLake {
    /// Takes data files out of a table in one commit, which raises the table's floors; they never fall. It is a
    /// [`CommitOutcome::Conflict`] if one of the files is no longer in the table. Older versions show them until a vacuum.
    ///
    /// # Errors
    /// The store's: it is then unknown whether the commit is in.
    pub async fn expire_files(
        &self,
        stream: &StreamName,
        table: LakeTable,
        expired: &ExpiredFiles,
    ) -> Result<CommitOutcome, LakeError> {
        let now = self.now();
        let millis = now.timestamp_millis();
        let mut facts = Map::new();
        let (before, files) = (expired.floor.to_rfc3339(), expired.files.len());
        facts.insert("expire".to_owned(), json!({ "before": before, "files": files }));
        let mut floors = vec![(floor_app_id(stream), days_since_1970(expired.floor))];
        floors.extend(
            expired.replay_from.iter().map(|(partition, offset)| (replay_app_id(stream, partition), offset.as_i64())),
        );
        self.table(stream, table)
            .commit(now, |state| {
                if !holds_all(state, &expired.files) {
                    return Ok(None);
                }
                let raised = floors.iter().map(|(app_id, value)| {
                    let last = state.and_then(|state| state.txn(app_id)).map(|txn| txn.value);
                    LogLine::of_txn(app_id.clone(), last.map_or(*value, |last| last.max(*value)), millis)
                });
                let lines = raised.chain(expired.files.iter().map(|file| removal(file, true, millis))).collect();
                Ok(Some(Draft { operation: "DELETE", facts: facts.clone(), lines }))
            })
            .await
    }
}

impl TableState {
    /// From when on the table has its rows, if an age limit ever took some.
    pub(super) fn floor(&self, stream: &StreamName) -> Option<DateTime<Utc>> {
        let days = self.txn(&floor_app_id(stream))?.value;
        DateTime::<Utc>::UNIX_EPOCH.checked_add_signed(TimeDelta::try_days(days)?)
    }

    /// Where a replay of each partition begins of which an age limit took rows.
    pub(super) fn replay_from(&self, stream: &StreamName) -> BTreeMap<SourcePartition, Offset> {
        let prefix = format!("{}/", floor_app_id(stream));
        self.txns()
            .filter_map(|(app_id, value)| {
                let partition = SourcePartition::try_from(app_id.strip_prefix(&prefix)?.to_owned()).ok()?;
                Some((partition, Offset::try_from_i64(value).ok()?))
            })
            .collect()
    }

    /// Fails if rows of a span may be gone: whoever folds what is left would go on from a hole.
    pub(super) fn check_whole(&self, partition: &PartitionId, span: OffsetSpan) -> Result<(), LakeError> {
        let key = SourcePartition::from(partition);
        let Some(first) = self.txn(&replay_app_id(&partition.stream, &key)) else { return Ok(()) };
        match Offset::try_from_i64(first.value) {
            Ok(first) if !span.is_empty() && span.from < first => {
                Err(LakeError::Expired { partition: partition.to_string(), from: span.from, first })
            }
            _ => Ok(()),
        }
    }
}

fn floor_app_id(stream: &StreamName) -> String {
    format!("{stream}/expire")
}

fn replay_app_id(stream: &StreamName, partition: &SourcePartition) -> String {
    format!("{}/{}/{}", floor_app_id(stream), partition.source, partition.partition)
}

fn days_since_1970(floor: DateTime<Utc>) -> i64 {
    (floor - DateTime::<Utc>::UNIX_EPOCH).num_days()
}
