//! Marks live rows whose device and time a file brought: the file's row counts.
//!
//! Speed folds messages without looking at any table, so such a row gets into the lake unmarked. It is found here, by
//! comparing only those data files whose ranges overlap and of which one is new, and its data file is replaced by one in
//! which it is marked.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int32Type, Int64Type, SchemaRef},
};
use futures::TryStreamExt;
use kilowatch_shared::{
    checkpoint::Boundary,
    lake::{
        CommitOutcome, LakeError, LakeTable,
        delta::{LakeFile, TableFiles, WrittenFile},
        files::encode_file,
        schema::readings_schema,
        session::{SessionLimits, SessionTable, lake_session, stream_error},
    },
    stream::StreamProfile,
};
use object_store::path::Path;
use tokio::task::spawn_blocking;

use crate::{BatchDeps, BatchError, sql};

/// Positions of rows: source, partition, offset.
type Positions = HashSet<(String, i32, i64)>;

/// Marks what became superseded since a boundary; tells how many rows were marked. Where another commit touched one of
/// the data files at the same time, nothing is marked and the next roll-up does it.
pub(crate) async fn mark_superseded(
    deps: &BatchDeps,
    profile: &StreamProfile,
    boundary: &Boundary,
) -> Result<u64, BatchError> {
    let table = match deps.lake.open_table(&profile.name, LakeTable::Readings, None).await {
        Ok(table) => table,
        Err(LakeError::NoSuchTable { .. }) => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    let new = new_files(deps, profile, boundary, &table).await?;
    let (live, filed) = overlapping(&table, new.as_ref());
    if live.files.is_empty() {
        return Ok(0);
    }
    let found = superseded_positions(deps, &live, &filed).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let (mut old, mut rewritten, mut marked) = (Vec::new(), Vec::new(), 0);
    for file in live.files.iter().filter(|file| may_hold_one_of(file, &found)) {
        if let Some((written, rows)) = rewrite(deps, profile, &live, file, &found).await? {
            old.push(Arc::clone(file));
            rewritten.push(written);
            marked += rows;
        }
    }
    if old.is_empty() {
        return Ok(0);
    }
    let outcome = deps.lake.replace_files(profile, LakeTable::Readings, &old, &rewritten, true).await?;
    if outcome == CommitOutcome::Conflict {
        deps.lake.discard(profile, LakeTable::Readings, &rewritten).await;
        return Ok(0);
    }
    Ok(marked)
}

/// The data files that were added since the boundary; `None` if all count as new.
async fn new_files(
    deps: &BatchDeps,
    profile: &StreamProfile,
    boundary: &Boundary,
    table: &TableFiles,
) -> Result<Option<HashSet<Path>>, BatchError> {
    let Some(from) = boundary.lake_version.filter(|from| *from <= table.version) else { return Ok(None) };
    let changes = deps.lake.files_added_between(&profile.name, LakeTable::Readings, from, table.version).await?;
    Ok(changes.map(|changes| changes.added.into_iter().map(|file| file.path.clone()).collect()))
}

/// Data files with live rows and data files with rows of files that may share a key, at least one of each pair new.
fn overlapping(table: &TableFiles, new: Option<&HashSet<Path>>) -> (TableFiles, TableFiles) {
    let is_new = |file: &LakeFile| new.is_none_or(|new| new.contains(&file.path));
    let (mut live, mut filed) = (BTreeSet::new(), BTreeSet::new());
    let with_files: Vec<&Arc<LakeFile>> = table.files.iter().filter(|file| may_hold_source(file, &["file:"])).collect();
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
    file.stats
        .source_offset
        .is_none_or(|(least, greatest)| positions.iter().any(|(_, _, offset)| (least..=greatest).contains(offset)))
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
        positions.extend((0..batch.num_rows()).map(|row| columns.at(row)));
    }
    Ok(positions)
}

/// Stores a copy of a data file in which the rows are marked; `None` if it holds none of them.
async fn rewrite(
    deps: &BatchDeps,
    profile: &StreamProfile,
    table: &TableFiles,
    file: &Arc<LakeFile>,
    positions: &Positions,
) -> Result<Option<(WrittenFile, u64)>, BatchError> {
    let only = table.only(|other| other.path == file.path);
    // One partition keeps the rows in their order.
    let limits = SessionLimits { target_partitions: 1, ..SessionLimits::default() };
    let session = lake_session(deps.lake.store(), &[SessionTable { name: "readings", files: &only }], &limits)?;
    let mut stream = session.stream(&sql::for_profile(include_str!("all_columns.sql"), profile, 0)).await?;
    let schema = readings_schema(profile);
    let (mut batches, mut marked) = (Vec::new(), 0);
    while let Some(batch) = stream.try_next().await.map_err(|error| stream_error(&error))? {
        let (batch, rows) = mark(&batch, &schema, positions)?;
        batches.push(batch);
        marked += rows;
    }
    let Some(bucket) = file.bucket.filter(|_| marked > 0) else { return Ok(None) };
    let encoded = spawn_blocking(move || encode_file(&schema, bucket, &batches))
        .await
        .map_err(|error| BatchError::Internal { job: "rollup", reason: format!("a worker stopped: {error}") })??;
    let written = deps.lake.put_file(profile, LakeTable::Readings, encoded).await?;
    Ok(Some((written, marked)))
}

fn mark(batch: &RecordBatch, schema: &SchemaRef, positions: &Positions) -> Result<(RecordBatch, u64), BatchError> {
    let columns = PositionColumns::of(batch)?;
    let mut marked = 0;
    let mut out: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = batch.column_by_name(field.name()).ok_or_else(|| unexpected(&field.name()))?;
        let column = cast(column, field.data_type()).map_err(|error| unexpected(&error))?;
        if field.name() != "superseded" {
            out.push(column);
            continue;
        }
        let flags: BooleanArray = column
            .as_boolean()
            .iter()
            .enumerate()
            .map(|(row, flag)| {
                let found = positions.contains(&columns.at(row));
                marked += u64::from(found);
                Some(flag.unwrap_or(false) || found)
            })
            .collect();
        out.push(Arc::new(flags));
    }
    let batch = RecordBatch::try_new(Arc::clone(schema), out).map_err(|error| unexpected(&error))?;
    Ok((batch, marked))
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
