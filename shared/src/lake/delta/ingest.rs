//! Batch's side: data files that a job wrote, committed as the rows of one history file.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use object_store::{ObjectStore, ObjectStoreExt, PutOptions, path::Path};
use serde_json::{Map, json};

use super::{
    DeltaLake, LakeFile,
    actions::{Add, LogLine},
    append::{aside, encode_rows, table_lines},
    commit::Draft,
    rewrite::{holds_all, removal},
};
use crate::{
    dead_letter::DeadLetter,
    lake::{
        CommitOutcome, LakeError, LakeSnapshot, LakeTable,
        files::EncodedFile,
        paths::{data_file, fresh_data_file, table_folder},
        schema::{BUCKET_COLUMN, declared_schema},
    },
    position::StreamName,
    stream::StreamProfile,
};

/// A history file, and what became of its rows; stands in the metadata of its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileIngest {
    /// SHA-256 of its bytes, in hex: its identity.
    pub sha256: String,
    /// The name that it had, for people.
    pub name: String,
    /// Rows by what became of them, such as `appended` or `identical`.
    pub counts: BTreeMap<String, u64>,
}

/// Data files that are written anew, with other flags, in the commit of a history file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Replaced<'a> {
    /// Those of the table.
    pub old: &'a [Arc<LakeFile>],
    /// What stands in their place.
    pub new: &'a [WrittenFile],
}

/// A data file in the store that no commit has named yet.
#[derive(Debug, Clone)]
pub struct WrittenFile {
    /// Where it is, from the table's folder.
    pub path: Path,
    /// How many rows it has.
    pub rows: u64,
    /// Its size.
    pub size_bytes: u64,
    pub(super) add: Add,
}

impl WrittenFile {
    pub(super) fn line(&self) -> LogLine {
        LogLine { add: Some(self.add.clone()), ..LogLine::default() }
    }

    pub(super) const fn written_at_millis(&self) -> i64 {
        self.add.modification_time
    }
}

impl DeltaLake {
    /// Whether a file of these bytes was ingested into a stream.
    ///
    /// # Errors
    /// The store's.
    pub async fn known_file(&self, stream: &StreamName, sha256: &str) -> Result<bool, LakeError> {
        Ok(!self.known_files(stream, [sha256]).await?.is_empty())
    }

    /// Those of the files that were ingested into a stream, by the SHA-256 of their bytes.
    ///
    /// # Errors
    /// The store's.
    pub async fn known_files<'a>(
        &self,
        stream: &StreamName,
        sha256s: impl IntoIterator<Item = &'a str, IntoIter: Send> + Send,
    ) -> Result<BTreeSet<String>, LakeError> {
        let Some(state) = self.table(stream, LakeTable::Readings).newest().await? else { return Ok(BTreeSet::new()) };
        let is_known = |sha256: &&str| state.txn(&file_app_id(stream, sha256)).is_some();
        Ok(sha256s.into_iter().filter(is_known).map(str::to_owned).collect())
    }

    /// Whether the bad lines of a file of these bytes are dead letters of a stream.
    ///
    /// # Errors
    /// The store's.
    pub async fn knows_bad_lines_of(&self, stream: &StreamName, sha256: &str) -> Result<bool, LakeError> {
        let state = self.table(stream, LakeTable::DeadLetters).newest().await?;
        Ok(state.is_some_and(|state| state.txn(&file_app_id(stream, sha256)).is_some()))
    }

    /// Stores one data file; nobody sees it before a commit names it.
    ///
    /// # Errors
    /// The store's.
    pub async fn put_file(
        &self,
        profile: &StreamProfile,
        table: LakeTable,
        file: EncodedFile,
    ) -> Result<WrittenFile, LakeError> {
        let path = fresh_data_file(file.bucket);
        let size_bytes = file.bytes.len() as u64;
        let location = data_file(&table_folder(&profile.name, table), &path);
        self.store().objects().put_opts(&location, file.bytes.into(), PutOptions::default()).await?;
        let add = Add {
            path: path.to_string(),
            partition_values: [(BUCKET_COLUMN.to_owned(), Some(file.bucket.to_string()))].into(),
            size: size_bytes.cast_signed(),
            modification_time: self.now().timestamp_millis(),
            data_change: true,
            stats: Some(file.stats.to_json()),
        };
        Ok(WrittenFile { path, rows: file.stats.rows.unwrap_or_default(), size_bytes, add })
    }

    /// Deletes data files that no commit will name. What cannot be deleted is left for a vacuum.
    pub async fn discard(&self, profile: &StreamProfile, table: LakeTable, files: &[WrittenFile]) {
        let folder = table_folder(&profile.name, table);
        for file in files {
            if let Err(error) = self.store().objects().delete(&data_file(&folder, &file.path)).await {
                tracing::debug!(lake.path = %file.path, error = %error, "a data file that lost its commit stays behind");
            }
        }
    }

    /// Commits the data files of one history file. From then on its SHA-256 is known, also if it brought no new row.
    ///
    /// It is a [`CommitOutcome::Conflict`] if another file was ingested after `base`: its rows have to be compared too.
    /// The data files stay, so that the caller can keep those that are still right or [`Self::discard`] them.
    ///
    /// # Errors
    /// [`LakeError::DraftGone`], and nothing is in; or the store's: it is then unknown whether the commit is in, and
    /// [`Self::known_file`] tells.
    pub async fn append_file(
        &self,
        profile: &StreamProfile,
        base: &LakeSnapshot,
        ingest: &FileIngest,
        files: &[WrittenFile],
    ) -> Result<CommitOutcome, LakeError> {
        let ingests = format!("{}/ingest", profile.name);
        let since = Some((ingests.as_str(), base.version.unwrap_or(-1)));
        let commit = FileCommit { files, since, once: true, replaced: Replaced::default() };
        self.commit_file(profile, LakeTable::Readings, ingest, &commit).await
    }

    /// The same for a history file of which some rows take the place of others: the data files of those come back marked, in
    /// the very commit that adds the file's rows. A file that is known may come again, for rows that it did not bring then.
    ///
    /// It is a [`CommitOutcome::Conflict`] as of [`Self::append_file`], and if one of the files to be replaced is no longer
    /// in the table.
    ///
    /// # Errors
    /// The store's; it is then unknown whether the commit is in.
    pub async fn append_file_replacing(
        &self,
        profile: &StreamProfile,
        base: &LakeSnapshot,
        ingest: &FileIngest,
        files: &[WrittenFile],
        replaced: Replaced<'_>,
    ) -> Result<CommitOutcome, LakeError> {
        let ingests = format!("{}/ingest", profile.name);
        let since = Some((ingests.as_str(), base.version.unwrap_or(-1)));
        // Every commit of a file moves `since`, so that one of this very file cannot come in between.
        let commit = FileCommit { files, since, once: false, replaced };
        self.commit_file(profile, LakeTable::Readings, ingest, &commit).await
    }

    /// Appends the lines of a history file that became no reading. Done before its readings are; a second call of the
    /// same file changes nothing.
    ///
    /// # Errors
    /// The store's.
    pub async fn append_file_dead_letters(
        &self,
        profile: &StreamProfile,
        ingest: &FileIngest,
        rows: &[DeadLetter],
    ) -> Result<(), LakeError> {
        let table = LakeTable::DeadLetters;
        let app_id = file_app_id(&profile.name, &ingest.sha256);
        let known = self.table(&profile.name, table).newest().await?;
        if known.is_some_and(|state| state.txn(&app_id).is_some()) {
            return Ok(());
        }
        let encoded = aside(|| encode_rows(profile, rows.iter()))?;
        let files = self.put_files(profile, table, encoded).await?;
        let commit = FileCommit { files: &files, since: None, once: true, replaced: Replaced::default() };
        if self.commit_file(profile, table, ingest, &commit).await? == CommitOutcome::Conflict {
            self.discard(profile, table, &files).await;
        }
        Ok(())
    }

    /// Commits files under the `txn` of their history file.
    async fn commit_file(
        &self,
        profile: &StreamProfile,
        table: LakeTable,
        ingest: &FileIngest,
        commit: &FileCommit<'_>,
    ) -> Result<CommitOutcome, LakeError> {
        for drafted in [commit.files, commit.replaced.new] {
            self.check_drafted(profile, table, drafted).await?;
        }
        let now = self.now();
        let millis = now.timestamp_millis();
        let columns = declared_schema(profile, table);
        let file = file_app_id(&profile.name, &ingest.sha256);
        let mut facts = Map::new();
        facts.insert(
            "file".to_owned(),
            json!({ "sha256": ingest.sha256, "name": ingest.name, "counts": ingest.counts }),
        );
        self.table(&profile.name, table)
            .commit(now, |state| {
                let known = state.and_then(|state| state.txn(&file));
                if (commit.once && known.is_some()) || !holds_all(state, commit.replaced.old) {
                    return Ok(None);
                }
                let mut lines = table_lines(state, &columns, millis)?;
                if let Some((app_id, seen)) = commit.since {
                    let last = state.and_then(|state| state.txn(app_id));
                    if last.is_some_and(|last| last.set_by > seen) {
                        return Ok(None);
                    }
                    lines.push(LogLine::of_txn(app_id.to_owned(), last.map_or(0, |last| last.value) + 1, millis));
                }
                lines.push(LogLine::of_txn(file.clone(), known.map_or(0, |known| known.value) + 1, millis));
                lines.extend(commit.replaced.old.iter().map(|file| removal(file, true, millis)));
                lines.extend(commit.replaced.new.iter().chain(commit.files).map(WrittenFile::line));
                let operation = if commit.replaced.old.is_empty() { "WRITE" } else { "MERGE" };
                Ok(Some(Draft { operation, facts: facts.clone(), lines }))
            })
            .await
    }
}

/// What the commit of a history file brings.
struct FileCommit<'a> {
    files: &'a [WrittenFile],
    /// An app id that must not have moved after a version, and is moved here.
    since: Option<(&'a str, i64)>,
    /// Whether it is a conflict that the file is known.
    once: bool,
    replaced: Replaced<'a>,
}

/// The app id that makes a file known, atomically with its rows.
fn file_app_id(stream: &StreamName, sha256: &str) -> String {
    format!("{stream}/file/{sha256}")
}
