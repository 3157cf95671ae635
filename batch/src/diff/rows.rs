//! Rows that one version has and the other one has not, or has with other values.

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{DataType, FieldRef, SchemaRef},
};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use kilowatch_shared::lake::{delta::DeltaLake, schema::instant_type, session::stream_error};
use serde::Serialize;

use super::{
    Buckets, Versions,
    shape::{schema_of, shaped},
};
use crate::{
    BatchError,
    sql::{Names, fill},
};

/// The position of a row: what it is the same row by.
const POSITION: [&str; 3] = ["source", "source_partition", "source_offset"];

/// How many rows differ, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ChangedRows {
    /// Rows of the later version whose position the earlier one does not have.
    pub added: u64,
    /// Rows of the earlier version whose position the later one does not have.
    pub removed: u64,
    /// Rows of both whose columns differ.
    pub changed: u64,
}

impl ChangedRows {
    /// Whether the versions hold the same rows.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.added == 0 && self.removed == 0 && self.changed == 0
    }

    fn count(&mut self, rows: &RecordBatch) {
        for change in rows.column(0).as_string::<i32>().iter().flatten() {
            match change {
                "added" => self.added += 1,
                "removed" => self.removed += 1,
                _ => self.changed += 1,
            }
        }
    }
}

/// The columns of [`changed_rows`]: `change` (`added`, `removed` or `changed`), what the table tells rows apart by for
/// people, the position, and in `differs` what became of the columns.
#[must_use]
pub fn rows_schema(versions: &Versions) -> SchemaRef {
    let mut columns = vec![("change", DataType::Utf8)];
    columns.extend(shown(versions).into_iter().map(|name| {
        let instant = name == "event_time" || name == "seen_at";
        (name, if instant { instant_type() } else { DataType::Utf8 })
    }));
    columns.extend([
        ("source", DataType::Utf8),
        ("source_partition", DataType::Int32),
        ("source_offset", DataType::Int64),
        ("differs", DataType::Utf8),
    ]);
    schema_of(columns)
}

/// Hands the rows that differ to `take`, in no order, as batches of [`rows_schema`]; tells how many there are, and in which
/// buckets.
///
/// # Errors
/// [`BatchError::Lake`], or those of `take`.
pub async fn changed_rows<E: From<BatchError>>(
    lake: &DeltaLake,
    versions: &Versions,
    mut take: impl AsyncFnMut(RecordBatch) -> Result<(), E>,
) -> Result<(ChangedRows, Buckets), E> {
    let (schema, query) = (rows_schema(versions), query_over(versions));
    let (mut rows, mut buckets) = (ChangedRows::default(), Buckets::new());
    for bucket in versions.differing_buckets() {
        let session = versions.session(lake.store(), &versions.differing_files(bucket)).map_err(BatchError::from)?;
        let mut batches = session.stream(&query).await.map_err(BatchError::from)?;
        while let Some(batch) = next(&mut batches).await? {
            let batch = shaped(&batch, &schema).map_err(BatchError::from)?;
            rows.count(&batch);
            buckets.insert(bucket);
            take(batch).await?;
        }
    }
    Ok((rows, buckets))
}

/// The next batch that holds a row.
pub(super) async fn next(batches: &mut SendableRecordBatchStream) -> Result<Option<RecordBatch>, BatchError> {
    loop {
        let batch = batches.try_next().await.map_err(|error| BatchError::Lake(stream_error(&error)))?;
        if batch.as_ref().is_none_or(|batch| batch.num_rows() > 0) {
            return Ok(batch);
        }
    }
}

/// The columns by which people tell rows apart: the device and the time of a reading, the time of a dead letter.
fn shown(versions: &Versions) -> Vec<&'static str> {
    let known = |name: &&str| versions.later.schema.column_with_name(name).is_some();
    ["device_id", "event_time", "seen_at"].into_iter().filter(known).collect()
}

fn query_over(versions: &Versions) -> String {
    let columns = versions.later.schema.fields().iter().filter(|field| !POSITION.contains(&field.name().as_str()));
    let (bytes, values): (Vec<&FieldRef>, Vec<&FieldRef>) =
        columns.partition(|field| *field.data_type() == DataType::Binary);
    let bytes: Vec<&str> = bytes.into_iter().map(|field| field.name().as_str()).collect();
    let values: Vec<&str> = values.into_iter().map(|field| field.name().as_str()).collect();
    let shown = shown(versions);
    fill(
        include_str!("rows.sql"),
        &[
            Names { word: "shown", names: &shown },
            Names { word: "value", names: &values },
            Names { word: "bytes", names: &bytes },
        ],
    )
}
