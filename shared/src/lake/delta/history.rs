//! What happened to a table, version by version, and who did it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    DeltaLake, LakeFile,
    actions::OUR_KEY,
    append::SegmentFacts,
    commit::our_facts,
    log::{LoggedCommit, TableLog},
    readback::segments_of,
    time_travel::{oldest_version, time_of},
};
use crate::{
    checkpoint::{OffsetSpan, SourcePartition},
    lake::{LakeError, LakeTable},
    position::StreamName,
};

/// Commits read at once.
const READS: usize = 16;

/// One version of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableVersion {
    /// The version.
    pub version: i64,
    /// When it was committed.
    pub at: DateTime<Utc>,
    /// The operation, as Delta calls it.
    pub operation: String,
    /// Data files that it added.
    pub files_added: u64,
    /// Their rows, if their writers said how many.
    pub rows_added: Option<u64>,
    /// Data files that it removed.
    pub files_removed: u64,
    /// Their rows, if the log still tells.
    pub rows_removed: Option<u64>,
    /// Who did it.
    pub by: CommitAuthor,
}

/// Who made a commit, as its metadata say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CommitAuthor {
    /// Speed, which closed segments.
    Segments {
        /// The segments.
        segments: Vec<CommittedSegment>,
    },
    /// The ingest of a history file.
    File {
        /// The name that it had.
        name: String,
        /// SHA-256 of its bytes.
        sha256: String,
        /// Rows by what became of them.
        counts: BTreeMap<String, u64>,
    },
    /// A replay of dead letters.
    Replay {
        /// How many letters.
        dead_letters: u64,
    },
    /// Another job of kilowatch, which the operation names: roll-ups that marked superseded rows, compaction.
    Job,
    /// Another program.
    Other {
        /// What it calls itself.
        engine: Option<String>,
    },
}

/// A closed segment as a commit tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommittedSegment {
    /// The partition.
    pub partition: SourcePartition,
    /// From L to the cut that closed it.
    pub span: OffsetSpan,
}

/// What of a file's facts matters here.
#[derive(Deserialize)]
struct FileFacts {
    name: String,
    sha256: String,
    #[serde(default)]
    counts: BTreeMap<String, u64>,
}

impl DeltaLake {
    /// The versions of a table, newest first: at most `limit` of them, those before `before` or from the newest one on.
    /// It ends where the log was cleaned up.
    ///
    /// # Errors
    /// [`LakeError::NoSuchTable`], the store's, or [`LakeError::Corrupt`].
    pub async fn versions(
        &self,
        stream: &StreamName,
        table: LakeTable,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<TableVersion>, LakeError> {
        let log = self.table(stream, table);
        let newest = log.existing().await?.version;
        let end = before.map_or(newest + 1, |before| before.clamp(0, newest + 1));
        let first = end.saturating_sub(i64::from(limit)).max(0);
        let reads: Vec<(i64, Option<LoggedCommit>)> = stream::iter((first..end).rev())
            .map(|version| {
                let log = &log;
                async move { Ok::<_, LakeError>((version, log.commit_at(version).await?)) }
            })
            .buffered(READS)
            .try_collect()
            .await?;
        let mut commits: Vec<(i64, LoggedCommit)> =
            reads.into_iter().map_while(|(version, commit)| Some((version, commit?))).collect();
        commits.reverse();
        let mut rows_of = rows_before(&log, &commits).await?;
        let mut versions = Vec::with_capacity(commits.len());
        for (version, commit) in &commits {
            versions.push(version_of(*version, commit, &mut rows_of)?);
        }
        versions.reverse();
        Ok(versions)
    }

    /// Hands the segments that the commits of a table tell of to `take`, oldest commit first, up to a version. It
    /// begins where the log does, at the version that it gives: commits below a checkpoint may have been cleaned up.
    ///
    /// # Errors
    /// The store's, or [`LakeError::Corrupt`].
    pub async fn each_segment(
        &self,
        stream: &StreamName,
        table: LakeTable,
        until: i64,
        mut take: impl FnMut(i64, CommittedSegment) + Send,
    ) -> Result<i64, LakeError> {
        let log = self.table(stream, table);
        let (log, oldest) = (&log, oldest_version(&log).await?);
        let mut commits = stream::iter(oldest..=until)
            .map(|version| async move { Ok::<_, LakeError>((version, log.commit_at(version).await?)) })
            .buffered(READS);
        while let Some((version, commit)) = commits.try_next().await? {
            // A clean-up may run meanwhile; what a commit below its checkpoint said is gone.
            let Some(commit) = commit else { continue };
            let Some(facts) = our_facts(&commit.lines) else { continue };
            for segment in committed_segments(facts)? {
                take(version, segment);
            }
        }
        Ok(oldest)
    }
}

/// Rows of the data files that the table had before the first of these commits, if one of them removes any.
async fn rows_before(log: &TableLog, commits: &[(i64, LoggedCommit)]) -> Result<HashMap<Path, Option<u64>>, LakeError> {
    let removes = commits.iter().any(|(_, commit)| commit.lines.iter().any(|line| line.remove.is_some()));
    let Some(first) = commits.first().map(|(version, _)| *version).filter(|first| removes && *first > 0) else {
        return Ok(HashMap::new());
    };
    match log.at(first - 1).await {
        Ok(state) => Ok(state.files().map(|file| (file.path.clone(), file.stats.rows)).collect()),
        Err(LakeError::NoSuchVersion { .. }) => Ok(HashMap::new()),
        Err(error) => Err(error),
    }
}

fn version_of(
    version: i64,
    commit: &LoggedCommit,
    rows_of: &mut HashMap<Path, Option<u64>>,
) -> Result<TableVersion, LakeError> {
    let added = commit.lines.iter().filter_map(|line| line.add.as_ref().map(LakeFile::of));
    let added = added.collect::<Result<Vec<_>, _>>()?;
    let mut removed: Vec<Option<u64>> = Vec::new();
    for remove in commit.lines.iter().filter_map(|line| line.remove.as_ref()) {
        let path = Path::from_url_path(&remove.path).ok();
        removed.push(path.and_then(|path| rows_of.remove(&path)).flatten());
    }
    rows_of.extend(added.iter().map(|file| (file.path.clone(), file.stats.rows)));
    let info = commit.lines.iter().find_map(|line| line.commit_info.as_ref());
    let operation = info.and_then(|info| info.get("operation")?.as_str()).unwrap_or("unknown");
    Ok(TableVersion {
        version,
        at: time_of(commit),
        operation: operation.to_owned(),
        files_added: added.len() as u64,
        rows_added: added.iter().map(|file| file.stats.rows).sum(),
        files_removed: removed.len() as u64,
        rows_removed: removed.into_iter().sum(),
        by: author_of(info)?,
    })
}

fn author_of(info: Option<&Map<String, Value>>) -> Result<CommitAuthor, LakeError> {
    let Some(facts) = info.and_then(|info| info.get(OUR_KEY)?.as_object()) else {
        let engine = info.and_then(|info| info.get("engineInfo")?.as_str());
        return Ok(CommitAuthor::Other { engine: engine.map(str::to_owned) });
    };
    if let Some(file) = facts.get("file") {
        let FileFacts { name, sha256, counts } = serde_json::from_value(file.clone())
            .map_err(|error| LakeError::Corrupt { reason: format!("the file in a commit: {error}") })?;
        return Ok(CommitAuthor::File { name, sha256, counts });
    }
    if let Some(replayed) = facts.get("replayed") {
        let dead_letters = replayed.get("dead_letters").and_then(Value::as_u64).unwrap_or_default();
        return Ok(CommitAuthor::Replay { dead_letters });
    }
    let segments = committed_segments(facts)?;
    Ok(if segments.is_empty() { CommitAuthor::Job } else { CommitAuthor::Segments { segments } })
}

fn committed_segments(facts: &Map<String, Value>) -> Result<Vec<CommittedSegment>, LakeError> {
    let segment = |facts: SegmentFacts| CommittedSegment {
        partition: facts.partition,
        span: OffsetSpan { from: facts.from, to: facts.to },
    };
    Ok(segments_of(facts)?.into_iter().map(segment).collect())
}
