//! Appending to a table's log: decide on the newest state, put the next commit if it is absent, else decide again.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use object_store::{Error as StoreError, ObjectStore, PutMode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    actions::{LogLine, OUR_KEY, write_lines},
    log::TableLog,
    state::TableState,
};
use crate::lake::{CommitOutcome, LakeError, paths::commit_file};

/// Of n racing writers one wins each round, so this is how many there may be.
const ROUNDS: usize = 100;

/// What to commit.
pub(super) struct Draft {
    /// What other programs show as the operation.
    pub operation: &'static str,
    /// Our own facts, for the commit's metadata.
    pub facts: Map<String, Value>,
    /// Everything but the commit's metadata.
    pub lines: Vec<LogLine>,
}

impl TableLog {
    /// Commits what `decide` wants on the very state that it has seen; `None` is a conflict.
    ///
    /// After an error, or if the future is dropped, the commit may be in or not.
    pub(super) async fn commit(
        &self,
        now: DateTime<Utc>,
        decide: impl Fn(Option<&TableState>) -> Result<Option<Draft>, LakeError> + Send + Sync,
    ) -> Result<CommitOutcome, LakeError> {
        let id = Uuid::new_v4().to_string();
        let mut newest = self.newest.lock().await;
        for _ in 0..ROUNDS {
            self.refresh(&mut newest).await?;
            if let Some(state) = newest.as_ref() {
                state.check_readable()?;
                state.check_writable()?;
            }
            let Some(draft) = decide(newest.as_deref())? else { return Ok(CommitOutcome::Conflict) };
            let lines = with_info(draft, &id, now);
            let version = newest.as_ref().map_or(0, |state| state.version + 1);
            let bytes = write_lines(&lines)?;
            let file = commit_file(&self.folder, version);
            match self.objects.put_opts(&file, bytes.into(), PutMode::Create.into()).await {
                Ok(put) => {
                    let state = newest.get_or_insert_with(|| Arc::new(TableState::before(&self.name, 0)));
                    Arc::make_mut(state).apply(version, put.e_tag, &lines)?;
                    return Ok(CommitOutcome::Committed(version));
                }
                // Somebody else's, or ours: a store's client retries, and its first try may have gone through.
                Err(StoreError::AlreadyExists { .. }) => {
                    if self.commit_at(version).await?.is_some_and(|commit| is_ours(&commit.lines, &id)) {
                        self.refresh(&mut newest).await?;
                        return Ok(CommitOutcome::Committed(version));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(LakeError::Unavailable { reason: format!("table `{}` has too many writers at once", self.name) })
    }
}

fn with_info(draft: Draft, id: &str, now: DateTime<Utc>) -> Vec<LogLine> {
    let mut facts = draft.facts;
    facts.insert("commit".to_owned(), id.into());
    let mut info = Map::new();
    info.insert("timestamp".to_owned(), now.timestamp_millis().into());
    info.insert("operation".to_owned(), draft.operation.into());
    info.insert("operationParameters".to_owned(), json!({ "mode": "Append" }));
    info.insert("engineInfo".to_owned(), concat!("kilowatch/", env!("CARGO_PKG_VERSION")).into());
    info.insert(OUR_KEY.to_owned(), facts.into());
    let mut lines = vec![LogLine { commit_info: Some(info), ..LogLine::default() }];
    lines.extend(draft.lines);
    lines
}

fn is_ours(lines: &[LogLine], id: &str) -> bool {
    our_facts(lines).and_then(|facts| facts.get("commit")).and_then(Value::as_str) == Some(id)
}

/// What a commit of ours says about itself.
pub(super) fn our_facts(lines: &[LogLine]) -> Option<&Map<String, Value>> {
    lines.iter().find_map(|line| line.commit_info.as_ref()?.get(OUR_KEY)?.as_object())
}
