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
    datatypes::{DataType, Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType},
};
use futures::TryStreamExt;
use kilowatch_shared::{
    lake::{
        LakeError, LakeTable,
        delta::{LakeFile, TableFiles, WrittenFile},
        files::FileEncoder,
        schema::instant_type,
        session::{LakeSession, SessionLimits, SessionTable, lake_session, stream_error},
    },
    stream::StreamProfile,
};
use tokio::task::spawn_blocking;

use crate::{
    BatchDeps, BatchError,
    compaction::{READINGS_ORDER, as_stored},
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
    deps: &BatchDeps,
    profile: &StreamProfile,
    table: &TableFiles,
    mark: impl Fn(&MarkedRows, usize) -> bool + Sync,
) -> Result<Remarked, BatchError> {
    let mut remarked = Remarked::default();
    for file in &table.files {
        let only = table.only(|other| other.path == file.path);
        match remark_one(deps, profile, (&only, file), &mark).await {
            Ok(None) => {}
            Ok(Some((written, rows))) => {
                remarked.old.push(Arc::clone(file));
                remarked.new.push(written);
                remarked.rows += rows;
            }
            Err(error) => {
                deps.lake.discard(profile, LakeTable::Readings, &remarked.new).await;
                return Err(error);
            }
        }
    }
    Ok(remarked)
}

async fn remark_one(
    deps: &BatchDeps,
    profile: &StreamProfile,
    (only, file): (&TableFiles, &LakeFile),
    mark: &(impl Fn(&MarkedRows, usize) -> bool + Sync),
) -> Result<Option<(WrittenFile, u64)>, BatchError> {
    let readings = SessionTable { name: "readings", files: only };
    let session = lake_session(deps.lake.store(), &[readings], &SessionLimits::default())?;
    // Reading few columns tells whether the others are needed.
    let changed = changes_in(&session, mark).await?;
    if changed == 0 {
        return Ok(None);
    }
    only.check_rewritable()?;
    let bucket = file.bucket.ok_or_else(|| unexpected(&format!("data file `{}` names no bucket", file.path)))?;
    let schema = Arc::clone(&only.schema);
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut rows = session.sorted("readings", &columns, &READINGS_ORDER).await?;
    let mut copy = FileEncoder::try_new(&schema, bucket)?;
    while let Some(batch) = rows.try_next().await.map_err(|error| stream_error(&error))? {
        let batch = with_marks(&as_stored(&batch, &schema)?, &schema, mark)?;
        copy = aside(move || copy.write(&batch).map(|()| copy)).await?;
    }
    let encoded = aside(move || copy.finish()).await?;
    if file.stats.rows.is_some() && encoded.stats.rows != file.stats.rows {
        return Err(unexpected(&format!("{:?} rows became {:?}", file.stats.rows, encoded.stats.rows)));
    }
    Ok(Some((deps.lake.put_file(profile, LakeTable::Readings, encoded).await?, changed)))
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

fn with_marks(
    batch: &RecordBatch,
    schema: &SchemaRef,
    mark: &impl Fn(&MarkedRows, usize) -> bool,
) -> Result<RecordBatch, BatchError> {
    let rows = MarkedRows::of(batch)?;
    let marks: BooleanArray = (0..batch.num_rows()).map(|row| Some(mark(&rows, row))).collect();
    let marks: ArrayRef = Arc::new(marks);
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, column)| Arc::clone(if field.name() == "superseded" { &marks } else { column }));
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).map_err(|error| unexpected(&error))
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

async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
) -> Result<T, BatchError> {
    // Speed may live in this process, and encoding keeps a thread busy.
    Ok(spawn_blocking(work).await.map_err(|error| BatchError::stopped("marking", &error))??)
}

fn unexpected(reason: &dyn std::fmt::Display) -> BatchError {
    LakeError::Corrupt { reason: format!("marking readings: {reason}") }.into()
}
