//! Dead letters that became readings after all: each is a batch ingest of one row under a `txn` of its own.

use serde_json::{Map, json};

use super::{
    DeltaLake,
    actions::LogLine,
    append::{aside, encode_rows, table_lines},
    commit::Draft,
    ingest::WrittenFile,
};
use crate::{
    lake::{CommitOutcome, LakeError, LakeSnapshot, LakeTable, schema::declared_schema},
    position::{InvalidId, Offset, SourceId, SourcePosition, StreamName},
    reading::LakeReading,
    stream::StreamProfile,
};

/// Where the reading of a dead letter stands: source `dead:<position>`, partition and offset 0.
///
/// # Errors
/// [`InvalidId`] where the position is too long for a source.
pub fn replayed_position(letter: &SourcePosition) -> Result<SourcePosition, InvalidId> {
    let source = SourceId::parse(&format!("dead:{letter}"))?;
    Ok(SourcePosition { source, partition: 0, offset: Offset::ZERO })
}

impl DeltaLake {
    /// Of each of these positions, made by [`replayed_position`], whether the lake has taken it.
    ///
    /// # Errors
    /// The store's.
    pub async fn replayed(&self, stream: &StreamName, positions: &[SourcePosition]) -> Result<Vec<bool>, LakeError> {
        let state = self.table(stream, LakeTable::Readings).newest().await?;
        let known = |position: &SourcePosition| {
            state.as_ref().is_some_and(|state| state.txn(&app_id(stream, position)).is_some())
        };
        Ok(positions.iter().map(known).collect())
    }

    /// Appends the readings of dead letters, and makes all of `done` known, those without a row of their own included.
    ///
    /// It is a [`CommitOutcome::Conflict`] if one of them is known by now, or if a file or another replay was ingested
    /// after `base`: its rows have to be compared too.
    ///
    /// # Errors
    /// The store's; it is then unknown whether the commit is in, and [`Self::replayed`] tells.
    pub async fn append_replayed(
        &self,
        profile: &StreamProfile,
        base: &LakeSnapshot,
        done: &[SourcePosition],
        rows: &[LakeReading],
    ) -> Result<CommitOutcome, LakeError> {
        let table = LakeTable::Readings;
        let encoded = aside(|| encode_rows(profile, rows.iter()))?;
        let files = self.put_files(profile, table, encoded).await?;
        self.check_drafted(profile, table, &files).await?;
        let now = self.now();
        let millis = now.timestamp_millis();
        let columns = declared_schema(profile, table);
        let ingests = format!("{}/ingest", profile.name);
        let app_ids: Vec<String> = done.iter().map(|position| app_id(&profile.name, position)).collect();
        let seen = base.version.unwrap_or(-1);
        let mut facts = Map::new();
        facts.insert("replayed".to_owned(), json!({ "dead_letters": done.len(), "appended": rows.len() }));
        let outcome = self
            .table(&profile.name, table)
            .commit(now, |state| {
                if state.is_some_and(|state| app_ids.iter().any(|app_id| state.txn(app_id).is_some())) {
                    return Ok(None);
                }
                let last = state.and_then(|state| state.txn(&ingests));
                if last.is_some_and(|last| last.set_by > seen) {
                    return Ok(None);
                }
                let mut lines = table_lines(state, &columns, millis)?;
                lines.push(LogLine::of_txn(ingests.clone(), last.map_or(0, |last| last.value) + 1, millis));
                lines.extend(app_ids.iter().map(|app_id| LogLine::of_txn(app_id.clone(), 1, millis)));
                lines.extend(files.iter().map(WrittenFile::line));
                Ok(Some(Draft { operation: "WRITE", facts: facts.clone(), lines }))
            })
            .await?;
        if outcome == CommitOutcome::Conflict {
            self.discard(profile, table, &files).await;
        }
        Ok(outcome)
    }
}

fn app_id(stream: &StreamName, position: &SourcePosition) -> String {
    format!("{stream}/{}/{}", position.source, position.partition)
}
