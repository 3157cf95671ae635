//! Rows stop to count, or count again: their data files are written anew with other `superseded` marks, and nothing else in
//! them changes.
//!
//! A row is superseded once another row of its device and time counts in its place: a file's row in that of a live one
//! ([`crate::rollups`] finds these), or a row of a file that was to replace what contradicts it ([`crate::jobs::ingest`]).
//! It keeps its values and its position, for replays and for people.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType},
};
use futures::TryStreamExt;
use kilowatch_shared::lake::{
    LakeError,
    delta::{LakeFile, TableFiles, WrittenFile},
    schema::instant_type,
    session::{LakeSession, stream_error},
};

use crate::{
    BatchError,
    rewriting::{FileCopy, Rewriting},
};

/// Data files and what stands in their place.
#[derive(Debug, Default)]
pub(crate) struct Remarked {
    /// Those of the table.
    pub old: Vec<Arc<LakeFile>>,
    /// Their copies, which no commit names yet.
    pub new: Vec<WrittenFile>,
    /// Rows of which the mark changed.
    pub rows: u64,
}

/// Stores copies of those of these data files in which a mark changes; `mark` says of a row whether it is superseded now.
/// Nothing stays behind after an error.
pub(crate) async fn remark(
    rewriting: Rewriting<'_>,
    table: &TableFiles,
    mark: impl Fn(&MarkedRows, usize) -> bool + Sync,
) -> Result<Remarked, BatchError> {
    let mut remarked = Remarked::default();
    for file in &table.files {
        match remark_one(rewriting, &table.of_files(vec![Arc::clone(file)]), &mark).await {
            Ok(None) => {}
            Ok(Some((written, rows))) => {
                remarked.old.push(Arc::clone(file));
                remarked.new.push(written);
                remarked.rows += rows;
            }
            Err(error) => {
                rewriting.discard(&remarked.new).await;
                return Err(error);
            }
        }
    }
    Ok(remarked)
}

async fn remark_one(
    rewriting: Rewriting<'_>,
    file: &TableFiles,
    mark: &(impl Fn(&MarkedRows, usize) -> bool + Sync),
) -> Result<Option<(WrittenFile, u64)>, BatchError> {
    // Reading few columns tells whether the others are needed.
    let changed = changes_in(&rewriting.session(file)?, mark).await?;
    if changed == 0 {
        return Ok(None);
    }
    let copy = FileCopy::of(rewriting, file)?.add(|batch| with_marks(&batch, mark)).await?;
    Ok(Some((copy.store().await?, changed)))
}

async fn changes_in(
    session: &LakeSession,
    mark: &(impl Fn(&MarkedRows, usize) -> bool + Sync),
) -> Result<u64, BatchError> {
    let mut batches = session.stream(include_str!("marked_rows.sql")).await?;
    let mut changed = 0;
    while let Some(batch) = batches.try_next().await.map_err(|error| stream_error(&error))? {
        let rows = MarkedRows::of(&batch)?;
        changed += (0..batch.num_rows()).filter(|row| mark(&rows, *row) != rows.is_superseded(*row)).count() as u64;
    }
    Ok(changed)
}

fn with_marks(batch: &RecordBatch, mark: &impl Fn(&MarkedRows, usize) -> bool) -> Result<RecordBatch, BatchError> {
    let (rows, schema) = (MarkedRows::of(batch)?, batch.schema());
    let marks: BooleanArray = (0..batch.num_rows()).map(|row| Some(mark(&rows, row))).collect();
    let marks: ArrayRef = Arc::new(marks);
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, column)| Arc::clone(if field.name() == "superseded" { &marks } else { column }));
    let columns = columns.collect();
    RecordBatch::try_new(schema, columns).map_err(|error| unexpected(&error))
}

/// Rows by what they are told by.
pub(crate) struct MarkedRows {
    devices: StringArray,
    times: PrimitiveArray<TimestampMicrosecondType>,
    sources: StringArray,
    partitions: PrimitiveArray<Int32Type>,
    offsets: PrimitiveArray<Int64Type>,
    duplicates: BooleanArray,
    superseded: BooleanArray,
}

impl MarkedRows {
    fn of(batch: &RecordBatch) -> Result<Self, BatchError> {
        let column = |name: &str, kind: &DataType| {
            let column = batch.column_by_name(name).ok_or_else(|| unexpected(&format!("no column `{name}`")))?;
            cast(column, kind).map_err(|error| unexpected(&error))
        };
        Ok(Self {
            devices: column("device_id", &DataType::Utf8)?.as_string::<i32>().clone(),
            times: column("event_time", &instant_type())?.as_primitive().clone(),
            sources: column("source", &DataType::Utf8)?.as_string::<i32>().clone(),
            partitions: column("source_partition", &DataType::Int32)?.as_primitive().clone(),
            offsets: column("source_offset", &DataType::Int64)?.as_primitive().clone(),
            duplicates: column("is_duplicate", &DataType::Boolean)?.as_boolean().clone(),
            superseded: column("superseded", &DataType::Boolean)?.as_boolean().clone(),
        })
    }

    /// The device.
    pub(crate) fn device(&self, row: usize) -> &str {
        self.devices.value(row)
    }

    /// The event time in microseconds since 1970.
    pub(crate) fn time(&self, row: usize) -> i64 {
        self.times.value(row)
    }

    /// Source, partition and offset.
    pub(crate) fn position(&self, row: usize) -> (&str, i32, i64) {
        (self.sources.value(row), self.partitions.value(row), self.offsets.value(row))
    }

    /// Whether it repeats a message of its own partition.
    pub(crate) fn is_duplicate(&self, row: usize) -> bool {
        self.duplicates.is_valid(row) && self.duplicates.value(row)
    }

    /// Whether it is marked now.
    pub(crate) fn is_superseded(&self, row: usize) -> bool {
        self.superseded.is_valid(row) && self.superseded.value(row)
    }
}

fn unexpected(reason: &dyn std::fmt::Display) -> BatchError {
    LakeError::Corrupt { reason: format!("marking readings: {reason}") }.into()
}
