//! `compact`: small data files become few large ones, and no row changes.
//!
//! Each merge is a commit of its own that removes the small files and adds the large one with `dataChange = false`. It is
//! in whole or not at all, and only if all its small files are still in the table: of two compactions that merge the same
//! file one loses, looks again, and leaves out what is done. Appends never conflict with it. docs/adr/0005 says why.

use std::{collections::HashSet, sync::Arc, time::Instant};

use kilowatch_shared::{
    job::JobStatus,
    lake::{
        LakeTable,
        delta::{LakeFile, Rewrite, TableFiles},
    },
    stream::StreamProfile,
    wording::counted,
};
use serde::{Deserialize, Serialize};

use super::history::{Summary, recorded};
use crate::{
    BatchDeps, BatchError,
    compaction::{CHECKPOINT_EVERY_COMMITS, Merge, plan_merges},
    ingest::Progress,
    rewriting::{FileCopy, MAX_LOOKS, Rewriting},
};

/// What to compact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactRequest {
    /// The tables.
    pub tables: Vec<LakeTable>,
    /// Size of a data file that is large enough, in bytes.
    pub target_bytes: u64,
}

impl CompactRequest {
    /// 64 MiB: few enough for years of readings, and small enough to be read whole by a replay.
    pub const DEFAULT_TARGET_BYTES: u64 = 64 << 20;
}

impl Default for CompactRequest {
    /// Both tables.
    fn default() -> Self {
        Self { tables: vec![LakeTable::Readings, LakeTable::DeadLetters], target_bytes: Self::DEFAULT_TARGET_BYTES }
    }
}

/// What became of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactedTable {
    /// `readings` or `dead_letters`.
    pub table: String,
    /// The version that has the last merge, or that had nothing to merge.
    pub lake_version: i64,
    /// Data files that are merged into others now.
    pub merged_files: u64,
    /// Data files that they became.
    pub written_files: u64,
    /// Rows that were rewritten.
    pub rows: u64,
    /// Size of the merged files, in bytes.
    pub read_bytes: u64,
    /// Size of the files that they became, in bytes.
    pub written_bytes: u64,
    /// Merges that were dropped because another job had rewritten one of their files.
    pub overtaken: u64,
    /// Data files that the table has now.
    pub files: u64,
    /// The version of the checkpoint that was written, if one was due.
    pub checkpoint: Option<i64>,
}

/// What a compaction did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CompactReport {
    /// The tables that exist, of those that were asked for.
    pub tables: Vec<CompactedTable>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl Summary for CompactReport {
    fn status(&self) -> JobStatus {
        let worked = |table: &CompactedTable| table.merged_files > 0 || table.checkpoint.is_some();
        if self.tables.iter().any(worked) { JobStatus::Succeeded } else { JobStatus::Skipped }
    }

    fn changed_rows(&self) -> u64 {
        0
    }

    fn sentence(&self) -> String {
        let sum = |of: fn(&CompactedTable) -> u64| self.tables.iter().map(of).sum::<u64>();
        match sum(|table| table.merged_files) {
            0 => "no data files that are worth merging".to_owned(),
            merged => format!(
                "{} became {}, with {}; {} left",
                counted(merged, "data file"),
                sum(|table| table.written_files),
                counted(sum(|table| table.rows), "row"),
                counted(sum(|table| table.files), "data file"),
            ),
        }
    }
}

/// Merges small data files, and writes the checkpoints of the log that are due. Stopped at any point it leaves whole
/// merges behind, and data files that no commit names for a vacuum.
///
/// # Errors
/// [`BatchError::Lake`]; [`BatchError::Contended`] if other jobs kept rewriting the same files.
pub async fn compact(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: &CompactRequest,
    progress: Arc<dyn Progress>,
) -> Result<CompactReport, BatchError> {
    recorded(deps, profile, "compact", run(deps, profile, request, progress.as_ref())).await
}

async fn run(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: &CompactRequest,
    progress: &dyn Progress,
) -> Result<CompactReport, BatchError> {
    let began = Instant::now();
    let mut report = CompactReport::default();
    for kind in &request.tables {
        let rewriting = Rewriting { deps, profile, kind: *kind, job: "compact" };
        let compaction = Compaction { rewriting, target_bytes: request.target_bytes, progress };
        report.tables.extend(compaction.run().await?);
    }
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

/// The compaction of one table.
struct Compaction<'a> {
    rewriting: Rewriting<'a>,
    target_bytes: u64,
    progress: &'a dyn Progress,
}

impl Compaction<'_> {
    /// Looks and merges until nothing is left that pays, which mostly takes three looks: what is small, what came out small
    /// itself, and nothing. `None` if there is no table.
    async fn run(&self) -> Result<Option<CompactedTable>, BatchError> {
        let Rewriting { deps, profile, kind, .. } = self.rewriting;
        let mut done = CompactedTable { table: kind.folder_name().to_owned(), ..CompactedTable::default() };
        let mut total_bytes = 0;
        for _ in 0..MAX_LOOKS {
            let Some(table) = self.rewriting.newest().await? else { return Ok(None) };
            table.check_rewritable()?;
            let merges = plan_merges(&table.files, self.target_bytes);
            if merges.is_empty() {
                (done.lake_version, done.files) = (table.version, table.files.len() as u64);
                done.checkpoint = deps.lake.checkpoint(&profile.name, kind, CHECKPOINT_EVERY_COMMITS).await?;
                return Ok(Some(done));
            }
            total_bytes += merges.iter().map(Merge::size_bytes).sum::<u64>();
            self.progress.begin(total_bytes);
            for merge in &merges {
                self.replace(merge, &mut done).await?;
                self.progress.advance(merge.size_bytes());
            }
        }
        Err(self.rewriting.contended())
    }

    /// Puts one file in the place of others, unless one of them was rewritten meanwhile.
    async fn replace(&self, small: &Merge, done: &mut CompactedTable) -> Result<(), BatchError> {
        // Another compaction may have been here since the plan was made, and merging takes long.
        let table = self.rewriting.newest().await?;
        let Some(table) = table.filter(|table| holds_all(table, &small.files)) else {
            done.overtaken += 1;
            return Ok(());
        };
        let files = table.of_files(small.files.clone());
        let large = FileCopy::of(self.rewriting, &files)?.add(Ok).await?.store().await?;
        if self.rewriting.replace(&small.files, std::slice::from_ref(&large), Rewrite::Merged).await? {
            done.merged_files += small.files.len() as u64;
            done.written_files += 1;
            done.rows += large.rows;
            done.read_bytes += small.size_bytes();
            done.written_bytes += large.size_bytes;
        } else {
            done.overtaken += 1;
        }
        Ok(())
    }
}

fn holds_all(table: &TableFiles, files: &[Arc<LakeFile>]) -> bool {
    let held: HashSet<_> = table.files.iter().map(|file| &file.path).collect();
    files.iter().all(|file| held.contains(&file.path))
}
