//! The log of one table: followed commit by commit, and appended to.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::{join, join_all};
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, path::Path};
use tokio::sync::Mutex;

use super::{
    actions::{LogLine, parse_lines},
    checkpoint::{find_checkpoint, hinted_checkpoint, read_checkpoint},
    state::TableState,
};
use crate::lake::{
    LakeError, LakeTable,
    paths::{commit_file, table_folder},
};
use crate::position::StreamName;

/// How many commits are read at once while catching up; a store far away answers them together.
const READ_AHEAD: i64 = 16;

/// A commit as it stands in the log.
pub(super) struct LoggedCommit {
    pub lines: Vec<LogLine>,
    /// When the store took it; its own time stands in its lines, if its writer gave one.
    pub stored_at: DateTime<Utc>,
    pub tag: Option<String>,
}

/// The log of a table. The newest state is kept, so that following it costs what is new.
#[derive(Debug)]
pub(super) struct TableLog {
    /// `<stream>/<table>`, for errors.
    pub name: Arc<str>,
    pub folder: Path,
    pub objects: Arc<dyn ObjectStore>,
    /// Also keeps the commits of this process in a row: they would only get in each other's way.
    pub newest: Mutex<Option<Arc<TableState>>>,
}

impl TableLog {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, stream: &StreamName, table: LakeTable) -> Self {
        let folder = table_folder(stream, table);
        Self { name: folder.as_ref().into(), folder, objects, newest: Mutex::new(None) }
    }

    /// The state at the newest version; `None` while the table does not exist.
    pub(super) async fn newest(&self) -> Result<Option<Arc<TableState>>, LakeError> {
        let mut newest = self.newest.lock().await;
        self.refresh(&mut newest).await?;
        if let Some(state) = newest.as_ref() {
            state.check_readable()?;
        }
        Ok(newest.clone())
    }

    /// The state at the newest version of a table that must exist.
    pub(super) async fn existing(&self) -> Result<Arc<TableState>, LakeError> {
        self.newest().await?.ok_or_else(|| LakeError::NoSuchTable { table: self.name.to_string() })
    }

    /// The state at a version, as long as the log still reaches back to it.
    pub(super) async fn at(&self, version: i64) -> Result<Arc<TableState>, LakeError> {
        let newest = self.existing().await?;
        if version == newest.version {
            return Ok(newest);
        }
        if !(newest.horizon().unwrap_or(0)..newest.version).contains(&version) {
            return Err(self.no_such_version(version));
        }
        let checkpoint = find_checkpoint(self, version).await?;
        let mut state = None;
        if let Some(checkpoint) = checkpoint {
            state = Some(Arc::new(read_checkpoint(self, &checkpoint).await?));
        }
        self.replay(&mut state, version).await?;
        let state = state.filter(|state| state.version == version).ok_or_else(|| self.no_such_version(version))?;
        state.check_readable()?;
        Ok(state)
    }

    /// A commit, if the log (still) has it.
    pub(super) async fn commit_at(&self, version: i64) -> Result<Option<LoggedCommit>, LakeError> {
        let found = match self.objects.get(&commit_file(&self.folder, version)).await {
            Ok(found) => found,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (tag, stored_at) = (found.meta.e_tag.clone(), found.meta.last_modified);
        let bytes = found.bytes().await?;
        Ok(Some(LoggedCommit { lines: parse_lines(&bytes)?, stored_at, tag }))
    }

    pub(super) fn no_such_version(&self, version: i64) -> LakeError {
        LakeError::NoSuchVersion { table: self.name.to_string(), version }
    }

    /// Brings the state to the newest version.
    pub(super) async fn refresh(&self, newest: &mut Option<Arc<TableState>>) -> Result<(), LakeError> {
        if let Some(known) = newest.as_ref() {
            let file = commit_file(&self.folder, known.version);
            let (head, next) = join(self.objects.head(&file), self.commit_at(known.version + 1)).await;
            let stands = match head {
                Ok(found) => found.e_tag.is_none() || known.commit_tag.is_none() || found.e_tag == known.commit_tag,
                // Cleaned up because a newer checkpoint covers it, or the lake was set back to a backup: read anew.
                Err(StoreError::NotFound { .. }) => false,
                Err(error) => return Err(error.into()),
            };
            if stands {
                let Some(next) = next? else { return Ok(()) };
                let state = newest.as_mut().map(Arc::make_mut);
                if let Some(state) = state {
                    state.apply(state.version + 1, next.tag, &next.lines)?;
                }
                return self.replay(newest, i64::MAX).await;
            }
            *newest = None;
        }
        if let Some(checkpoint) = hinted_checkpoint(self).await? {
            *newest = Some(Arc::new(read_checkpoint(self, &checkpoint).await?));
        }
        self.replay(newest, i64::MAX).await?;
        if newest.is_none()
            && let Some(checkpoint) = find_checkpoint(self, i64::MAX).await?
        {
            // The hint is only a hint, and the first commits may be gone.
            *newest = Some(Arc::new(read_checkpoint(self, &checkpoint).await?));
            self.replay(newest, i64::MAX).await?;
        }
        Ok(())
    }

    /// Applies the commits after the state, up to `until` or to the last one.
    async fn replay(&self, state: &mut Option<Arc<TableState>>, until: i64) -> Result<(), LakeError> {
        let mut ahead = 1;
        loop {
            let next = state.as_ref().map_or(0, |state| state.version + 1);
            let last = next.saturating_add(ahead - 1).min(until);
            let commits = join_all((next..=last).map(|version| self.commit_at(version))).await;
            if commits.is_empty() {
                return Ok(());
            }
            for (version, commit) in (next..).zip(commits) {
                let Some(commit) = commit? else { return Ok(()) };
                let state = state.get_or_insert_with(|| Arc::new(TableState::before(&self.name, 0)));
                Arc::make_mut(state).apply(version, commit.tag, &commit.lines)?;
            }
            ahead = (ahead * 2).min(READ_AHEAD);
        }
    }
}
