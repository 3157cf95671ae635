//! Data files whose rows are too old leave their table.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};

use super::{
    DeltaLake, LakeFile,
    actions::LogLine,
    commit::Draft,
    ingest::{holds_all, removal},
    state::TableState,
};
use crate::{
    lake::{CommitOutcome, LakeError, LakeTable, schema::end_of_bucket},
    position::StreamName,
};

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
    /// Takes data files out of a table, in one commit that says from which day on the table has its rows: the `txn`
    /// `<stream>/expire`, in days since 1970, which never falls. It is a [`CommitOutcome::Conflict`] if one of them is no
    /// longer in the table. Older versions show them until a vacuum.
    ///
    /// # Errors
    /// The store's: it is then unknown whether the commit is in.
    pub async fn expire_files(
        &self,
        stream: &StreamName,
        table: LakeTable,
        files: &[Arc<LakeFile>],
        floor: DateTime<Utc>,
    ) -> Result<CommitOutcome, LakeError> {
        let now = self.now();
        let millis = now.timestamp_millis();
        let mut facts = Map::new();
        facts.insert("expire".to_owned(), json!({ "before": floor.to_rfc3339(), "files": files.len() }));
        let app_id = floor_app_id(stream);
        self.table(stream, table)
            .commit(now, |state| {
                if !holds_all(state, files) {
                    return Ok(None);
                }
                let last = state.and_then(|state| state.txn(&app_id)).map(|txn| txn.value);
                let day = days_since_1970(floor).max(last.unwrap_or(i64::MIN));
                let mut lines = vec![LogLine::of_txn(app_id.clone(), day, millis)];
                lines.extend(files.iter().map(|file| removal(file, true, millis)));
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
}

fn floor_app_id(stream: &StreamName) -> String {
    format!("{stream}/expire")
}

fn days_since_1970(floor: DateTime<Utc>) -> i64 {
    (floor - DateTime::<Utc>::UNIX_EPOCH).num_days()
}
