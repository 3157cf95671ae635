//! Marks live rows whose device and time a file brought: the file's row counts.
//!
//! Speed folds messages without looking at any table, so such a row gets into the lake unmarked. It is found here, by
//! comparing only those data files whose ranges overlap and of which one is new, and its data file is replaced by one in
//! which it is marked. What is new is told by the boundary, so no version may be published in which a row is still to be
//! marked: the next roll-up would take its file for seen and count the row for good.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int32Type, Int64Type},
};
use futures::TryStreamExt;
use kilowatch_shared::{
    lake::{
        LakeError, LakeTable,
        delta::{LakeFile, Rewrite, TableFiles},
        session::{SessionLimits, SessionTable, lake_session, stream_error},
    },
    stream::StreamProfile,
};
use object_store::path::Path;

use crate::{
    BatchDeps, BatchError,
    marking::{MarkedRows, remark},
    rewriting::Rewriting,
};

/// Positions of rows by source, of which there are few: partition and offset.
type Positions = HashMap<String, HashSet<(i32, i64)>>;

/// A version of the table in which nothing is left to mark.
#[derive(Debug)]
pub(crate) struct Settled {
    /// The version; `None` while the table does not exist.
    pub table: Option<TableFiles>,
    /// How many rows had to be marked for that.
    pub marked_rows: u64,
}

/// What one look at the table came to.
enum Look {
    /// Nothing is left to mark in the version that was looked at.
    Settled,
    /// So many rows are marked in a newer version, which may hold other rows that nobody has looked at.
    Marked(u64),
    /// Another commit touched one of the data files at the same time.
    Overtaken,
}

/// Commits of others that may come in between. Speed closes a segment a minute and adds files only; what replaces files
/// is another roll-up, or a compaction, which merges a file once.
const MAX_OVERTAKEN: u32 = 5;

/// Marks what became superseded since the version `since` (`None` compares all files), until a version is found in which
/// nothing is left to mark; `job` is whose step it is.
///
/// # Errors
/// [`BatchError::Contended`] if other jobs kept replacing the same data files.
pub(crate) async fn settle_superseded(
    deps: &BatchDeps,
    profile: &StreamProfile,
    since: Option<i64>,
    job: &'static str,
) -> Result<Settled, BatchError> {
    let (mut marked_rows, mut overtaken) = (0, 0);
    while overtaken < MAX_OVERTAKEN {
        let Some(table) = deps.lake.newest_table(&profile.name, LakeTable::Readings).await? else {
            return Ok(Settled { table: None, marked_rows });
        };
        match look(deps, profile, since, &table, job).await? {
            Look::Settled => return Ok(Settled { table: Some(table), marked_rows }),
            Look::Marked(rows) => marked_rows += rows,
            Look::Overtaken => overtaken += 1,
        }
    }
    Err(BatchError::Contended {
        job,
        attempts: MAX_OVERTAKEN,
        reason: "another job replaced the data files of superseded rows each time".to_owned(),
    })
}

/// Whether a version holds live rows that a file's rows replace and that are not marked, one of them added since.
///
/// # Errors
/// [`BatchError::Lake`].
pub(crate) async fn has_unsettled(
    deps: &BatchDeps,
    profile: &StreamProfile,
    since: Option<i64>,
    table: &TableFiles,
) -> Result<bool, BatchError> {
    let new = new_files(deps, profile, since, table).await?;
    let (live, filed) = overlapping(table, new.as_ref());
    Ok(!live.files.is_empty() && !superseded_positions(deps, &live, &filed).await?.is_empty())
}

/// Marks what is superseded in one version of the table.
async fn look(
    deps: &BatchDeps,
    profile: &StreamProfile,
    since: Option<i64>,
    table: &TableFiles,
    job: &'static str,
) -> Result<Look, BatchError> {
    let new = new_files(deps, profile, since, table).await?;
    let (live, filed) = overlapping(table, new.as_ref());
    if live.files.is_empty() {
        return Ok(Look::Settled);
    }
    let found = superseded_positions(deps, &live, &filed).await?;
    if found.is_empty() {
        return Ok(Look::Settled);
    }
    let holders = live.only(|file| may_hold_one_of(file, &found));
    let is_found = |rows: &MarkedRows, row: usize| {
        let (source, partition, offset) = rows.position(row);
        found.get(source).is_some_and(|positions| positions.contains(&(partition, offset)))
    };
    let mark = |rows: &MarkedRows, row: usize| rows.is_superseded(row) || is_found(rows, row);
    let rewriting = Rewriting { deps, profile, kind: LakeTable::Readings, job };
    let marked = remark(rewriting, &holders, mark).await?;
    if marked.rows == 0 {
        return Err(unexpected(&"superseded rows are in none of the data files that they were found in"));
    }
    let replaced = rewriting.replace(&marked.old, &marked.new, Rewrite::Marked).await?;
    Ok(if replaced { Look::Marked(marked.rows) } else { Look::Overtaken })
}

/// The data files that hold rows which came since a version; `None` if all count as new.
async fn new_files(
    deps: &BatchDeps,
    profile: &StreamProfile,
    since: Option<i64>,
    table: &TableFiles,
) -> Result<Option<HashSet<Path>>, BatchError> {
    let Some(from) = since.filter(|from| *from <= table.version) else { return Ok(None) };
    let changes = deps.lake.files_added_between(&profile.name, LakeTable::Readings, from, table.version).await?;
    Ok(changes.map(|changes| changes.holders.into_iter().collect()))
}

/// Data files with live rows and data files with rows of files that may share a key, at least one of each pair new.
fn overlapping(table: &TableFiles, new: Option<&HashSet<Path>>) -> (TableFiles, TableFiles) {
    let is_new = |file: &LakeFile| new.is_none_or(|new| new.contains(&file.path));
    let (mut live, mut filed) = (BTreeSet::new(), BTreeSet::new());
    let with_files: Vec<&Arc<LakeFile>> =
        table.files.iter().filter(|file| may_hold_source(file, &["file:", "dead:"])).collect();
    for candidate in table.files.iter().filter(|file| may_hold_source(file, &["kafka:", "log:"])) {
        for other in &with_files {
            if (is_new(candidate) || is_new(other)) && ranges_meet(candidate, other) {
                live.insert(candidate.path.clone());
                filed.insert(other.path.clone());
            }
        }
    }
    (table.only(|file| live.contains(&file.path)), table.only(|file| filed.contains(&file.path)))
}

/// Whether the range of sources allows one that begins so.
fn may_hold_source(file: &LakeFile, prefixes: &[&str]) -> bool {
    file.stats.source.as_ref().is_none_or(|(least, greatest)| {
        prefixes.iter().any(|prefix| {
            let below = least.as_str() <= *prefix || least.starts_with(prefix);
            below && greatest.as_str() >= *prefix
        })
    })
}

fn ranges_meet(a: &LakeFile, b: &LakeFile) -> bool {
    fn meet<T: PartialOrd>(a: Option<&(T, T)>, b: Option<&(T, T)>) -> bool {
        a.zip(b).is_none_or(|(a, b)| a.0 <= b.1 && b.0 <= a.1)
    }
    meet(a.stats.event_time.as_ref(), b.stats.event_time.as_ref())
        && meet(a.stats.device_id.as_ref(), b.stats.device_id.as_ref())
}

fn may_hold_one_of(file: &LakeFile, positions: &Positions) -> bool {
    file.stats.source_offset.is_none_or(|(least, greatest)| {
        positions.values().flatten().any(|(_, offset)| (least..=greatest).contains(offset))
    })
}

async fn superseded_positions(
    deps: &BatchDeps,
    live: &TableFiles,
    filed: &TableFiles,
) -> Result<Positions, BatchError> {
    let tables = [SessionTable { name: "live", files: live }, SessionTable { name: "filed", files: filed }];
    let session = lake_session(deps.lake.store(), &tables, &SessionLimits::default())?;
    let mut batches = session.stream(include_str!("superseded.sql")).await?;
    let mut positions = Positions::new();
    while let Some(batch) = batches.try_next().await.map_err(|error| stream_error(&error))? {
        let columns = PositionColumns::of(&batch)?;
        for (source, partition, offset) in (0..batch.num_rows()).map(|row| columns.at(row)) {
            positions.entry(source).or_default().insert((partition, offset));
        }
    }
    Ok(positions)
}

struct PositionColumns {
    sources: ArrayRef,
    partitions: ArrayRef,
    offsets: ArrayRef,
}

impl PositionColumns {
    fn of(batch: &RecordBatch) -> Result<Self, BatchError> {
        let column = |name: &str, kind: &DataType| {
            let column = batch.column_by_name(name).ok_or_else(|| unexpected(&name))?;
            cast(column, kind).map_err(|error| unexpected(&error))
        };
        Ok(Self {
            sources: column("source", &DataType::Utf8)?,
            partitions: column("source_partition", &DataType::Int32)?,
            offsets: column("source_offset", &DataType::Int64)?,
        })
    }

    fn at(&self, row: usize) -> (String, i32, i64) {
        (
            self.sources.as_string::<i32>().value(row).to_owned(),
            self.partitions.as_primitive::<Int32Type>().value(row),
            self.offsets.as_primitive::<Int64Type>().value(row),
        )
    }
}

fn unexpected(reason: &dyn std::fmt::Display) -> BatchError {
    LakeError::Corrupt { reason: format!("readings: {reason}") }.into()
}
