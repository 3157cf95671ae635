//! What nobody needs any more: data files that only forgotten versions name, and the log behind a checkpoint.
//!
//! A vacuum first says in a commit which versions stay (the horizon), so that no older one is opened while its files go.
//! Then data files go, then log files, oldest first: stopped at any point, it leaves a table that opens, and the next one
//! ends it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use serde_json::{Map, json};

use super::{
    DeltaLake, LakeFile,
    actions::LogLine,
    checkpoint::{Checkpoint, find_checkpoint, read_checkpoint, whole_checkpoints},
    commit::Draft,
    log::TableLog,
    state::{TableState, horizon_app_id},
};
use crate::{
    lake::{
        LakeError, LakeTable,
        paths::{data_file, log_folder},
    },
    position::StreamName,
};

/// Requests at once.
const REQUESTS: usize = 16;

/// What has to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VacuumLimits {
    /// Versions that were current at this instant or later stay readable.
    pub versions_since: DateTime<Utc>,
    /// Commits that were current at this instant or later stay in the log, at least those of readable versions.
    pub log_since: DateTime<Utc>,
    /// A data file that is younger than this and that no commit names may be that of a job at work.
    pub uncommitted_since: DateTime<Utc>,
    /// This version and all later ones stay readable, however old.
    pub version: Option<i64>,
}

/// What may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VacuumPlan {
    /// The oldest version that stays readable.
    pub horizon: i64,
    /// Data files that no version from the horizon on names, or that no commit ever named.
    pub data_files: Vec<StoredObject>,
    /// Commits and checkpoints behind the checkpoint from which the log is read, oldest first.
    pub log_files: Vec<StoredObject>,
    /// Whether the table does not yet say that older versions are gone.
    moves_horizon: bool,
}

/// An object in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Where it is, from the lake's root.
    pub location: Path,
    /// Its size.
    pub size_bytes: u64,
}

impl From<ObjectMeta> for StoredObject {
    fn from(meta: ObjectMeta) -> Self {
        Self { location: meta.location, size_bytes: meta.size }
    }
}

impl VacuumPlan {
    /// Bytes that become free.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.data_files.iter().chain(&self.log_files).map(|object| object.size_bytes).sum()
    }
}

impl DeltaLake {
    /// What a vacuum of a table may delete; `None` if there is no table.
    ///
    /// # Errors
    /// The store's, or [`LakeError::Corrupt`].
    pub async fn plan_vacuum(
        &self,
        stream: &StreamName,
        table: LakeTable,
        limits: &VacuumLimits,
    ) -> Result<Option<VacuumPlan>, LakeError> {
        let log = self.table(stream, table);
        // Listed before the newest version is read: what is committed in between is then named by it.
        let listed = list(self.store().objects().as_ref(), &log.folder).await?;
        let Some(newest) = log.newest().await? else { return Ok(None) };
        let of_log = log_folder(&log.folder);
        let (logged, data): (Vec<_>, Vec<_>) =
            listed.into_iter().partition(|meta| meta.location.prefix_matches(&of_log));
        let is_commit = |meta: &&ObjectMeta| meta.location.extension() == Some("json");
        let commits: BTreeMap<i64, DateTime<Utc>> = logged
            .iter()
            .filter(is_commit)
            .filter_map(|meta| Some((version_in_log(&meta.location)?, meta.last_modified)))
            .collect();
        let recorded = newest.horizon();
        let wanted = current_at(&commits, limits.versions_since)
            .min(limits.version.unwrap_or(i64::MAX))
            .clamp(recorded.unwrap_or(0), newest.version);
        let oldest = oldest_readable(&log, wanted, newest.version).await?;
        let needed = Needed::since(&log, oldest.as_ref(), &newest, &commits, limits.uncommitted_since).await?;
        let unneeded = data.into_iter().filter(|meta| is_data_file(&meta.location, &log.folder));
        let unneeded = unneeded.filter(|meta| needed.may_go(meta, limits.uncommitted_since));
        let mut plan = VacuumPlan {
            horizon: oldest.version,
            data_files: unneeded.map(StoredObject::from).collect(),
            log_files: Vec::new(),
            moves_horizon: false,
        };
        plan.moves_horizon = !plan.data_files.is_empty() && recorded.is_none_or(|recorded| recorded < plan.horizon);
        let log_from = current_at(&commits, limits.log_since).min(plan.horizon);
        if let Some(first) = find_checkpoint(&log, log_from).await? {
            // What the commits say is deleted only where a checkpoint says it as well.
            read_checkpoint(&log, &first).await?;
            plan.log_files = logged
                .into_iter()
                .filter(|meta| version_in_log(&meta.location).is_some_and(|version| version < first.version()))
                .map(StoredObject::from)
                .collect();
            plan.log_files.sort_by(|a, b| a.location.cmp(&b.location));
        }
        Ok(Some(plan))
    }

    /// Deletes what a plan names; what is gone already is no error. `deleted` hears of each object.
    ///
    /// # Errors
    /// The store's; the next vacuum ends what this one began.
    pub async fn vacuum(
        &self,
        stream: &StreamName,
        table: LakeTable,
        plan: &VacuumPlan,
        deleted: impl Fn(&StoredObject) + Send + Sync,
    ) -> Result<(), LakeError> {
        if plan.moves_horizon {
            self.move_horizon(stream, table, plan.horizon).await?;
        }
        self.delete_objects(&plan.data_files, REQUESTS, &deleted).await?;
        // One after the other, so that what is left of the log has no holes.
        self.delete_objects(&plan.log_files, 1, &deleted).await?;
        Ok(())
    }

    /// Deletes objects, so many at once; those that are gone already are no error.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete_objects(
        &self,
        objects: &[StoredObject],
        at_once: usize,
        deleted: impl Fn(&StoredObject) + Send + Sync,
    ) -> Result<(), LakeError> {
        let mut gone = stream::iter(objects)
            .map(|object| async move {
                match self.store().objects().delete(&object.location).await {
                    Ok(()) | Err(StoreError::NotFound { .. }) => Ok(object),
                    Err(error) => Err(LakeError::from(error)),
                }
            })
            .buffered(at_once.max(1));
        while let Some(object) = gone.try_next().await? {
            deleted(object);
        }
        Ok(())
    }

    async fn move_horizon(&self, stream: &StreamName, table: LakeTable, horizon: i64) -> Result<(), LakeError> {
        let now = self.now();
        let log = self.table(stream, table);
        let mut facts = Map::new();
        facts.insert("vacuum".to_owned(), json!({ "oldest_version": horizon }));
        log.commit(now, |state| {
            // Another vacuum was here, and went further.
            if state.and_then(TableState::horizon).is_some_and(|recorded| recorded >= horizon) {
                return Ok(None);
            }
            let txn = LogLine::of_txn(horizon_app_id(&log.name), horizon, now.timestamp_millis());
            Ok(Some(Draft { operation: "VACUUM START", facts: facts.clone(), lines: vec![txn] }))
        })
        .await?;
        Ok(())
    }
}

/// The data files that have to stay, and those that are known to have been committed.
struct Needed {
    needed: BTreeSet<Path>,
    committed: BTreeSet<Path>,
}

impl Needed {
    /// What the versions from `oldest` to `newest` name.
    async fn since(
        log: &TableLog,
        oldest: &TableState,
        newest: &TableState,
        commits: &BTreeMap<i64, DateTime<Utc>>,
        uncommitted_since: DateTime<Utc>,
    ) -> Result<Self, LakeError> {
        let location = |file: &LakeFile| data_file(&log.folder, &file.path);
        let needed: BTreeSet<Path> = oldest.files().chain(newest.files()).map(|file| location(file)).collect();
        let mut sum = Self { committed: needed.clone(), needed };
        let after = oldest.version + 1;
        // A young file is told from one that waits for its commit by the commits that are as young.
        let young = commits.iter().find(|(_, at)| **at >= uncommitted_since).map_or(after, |(version, _)| *version);
        let mut found = stream::iter(young.min(after)..=newest.version)
            .map(|version| async move { (version, log.commit_at(version).await) })
            .buffered(REQUESTS);
        while let Some((version, commit)) = found.next().await {
            let Some(commit) = commit? else { continue };
            for add in commit.lines.iter().filter_map(|line| line.add.as_ref()) {
                let location = location(&LakeFile::of(add)?);
                if version >= after {
                    sum.needed.insert(location.clone());
                }
                sum.committed.insert(location);
            }
        }
        Ok(sum)
    }

    fn may_go(&self, meta: &ObjectMeta, uncommitted_since: DateTime<Utc>) -> bool {
        let is_settled = meta.last_modified < uncommitted_since || self.committed.contains(&meta.location);
        is_settled && !self.needed.contains(&meta.location)
    }
}

/// The version that was current at an instant; the oldest one that there is if all are younger.
fn current_at(commits: &BTreeMap<i64, DateTime<Utc>>, at: DateTime<Utc>) -> i64 {
    let current = commits.iter().rev().find(|(_, written)| **written <= at).map(|(version, _)| *version);
    current.or_else(|| commits.keys().next().copied()).unwrap_or_default()
}

/// The state at a version, or at the first later one that the log still reaches.
async fn oldest_readable(log: &TableLog, wanted: i64, newest: i64) -> Result<Arc<TableState>, LakeError> {
    match log.at(wanted).await {
        Err(LakeError::NoSuchVersion { .. }) => {}
        found => return found,
    }
    let checkpoints = whole_checkpoints(log).await?.into_iter().map(Checkpoint::version);
    log.at(checkpoints.filter(|version| *version > wanted).min().unwrap_or(newest)).await
}

/// Everything below a folder.
async fn list(store: &dyn ObjectStore, folder: &Path) -> Result<Vec<ObjectMeta>, LakeError> {
    let mut all = Vec::new();
    let mut listing = store.list(Some(folder));
    loop {
        match listing.try_next().await {
            Ok(Some(meta)) => all.push(meta),
            Ok(None) | Err(StoreError::NotFound { .. }) => return Ok(all),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The version that a file of the log belongs to: its commit or its checkpoint.
fn version_in_log(location: &Path) -> Option<i64> {
    let (version, rest) = location.filename()?.split_once('.')?;
    let known = rest == "json" || (rest.starts_with("checkpoint.") && rest.ends_with(".parquet"));
    known.then(|| version.parse().ok()).flatten().filter(|_| version.len() == 20)
}

/// Whether it is a data file as Delta tables have them: names that begin with `_` or `.` belong to somebody else.
fn is_data_file(location: &Path, folder: &Path) -> bool {
    let hidden = |part: &str| part.starts_with('_') || part.starts_with('.');
    location.extension() == Some("parquet")
        && location.prefix_match(folder).is_some_and(|mut parts| parts.all(|part| !hidden(part.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_logs_or_the_tables_is_left_alone() {
        let version = |name: &str| version_in_log(&Path::from(format!("s/readings/_delta_log/{name}")));
        assert_eq!(version("00000000000000000007.json"), Some(7));
        assert_eq!(version("00000000000000000007.checkpoint.parquet"), Some(7));
        assert_eq!(version("00000000000000000007.checkpoint.0000000001.0000000002.parquet"), Some(7));
        for other in ["_last_checkpoint", "7.json", "00000000000000000007.crc", "00000000000000000007.json.tmp"] {
            assert_eq!(version(other), None, "{other}");
        }
        let folder = Path::from("s/readings");
        let is_data = |path: &str| is_data_file(&Path::from(path), &folder);
        assert!(is_data("s/readings/bucket=2007-01-01/part-1.parquet"));
        for other in ["s/readings/_change_data/a.parquet", "s/readings/.hidden.parquet", "s/readings/notes.txt"] {
            assert!(!is_data(other), "{other}");
        }
    }

    #[test]
    fn a_version_is_current_until_the_next_one() {
        let at = |minute: i64| DateTime::from_timestamp(minute * 60, 0).unwrap();
        let commits = BTreeMap::from([(3, at(10)), (4, at(20)), (5, at(30))]);
        assert_eq!([5, 10, 25, 30, 99].map(|minute| current_at(&commits, at(minute))), [3, 3, 4, 5, 5]);
        assert_eq!(current_at(&BTreeMap::new(), at(1)), 0);
    }
}
