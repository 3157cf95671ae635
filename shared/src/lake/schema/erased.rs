//! Tombstones: what is left in the tables of rows whose device was erased.
//!
//! A tombstone keeps its position, so that every position still stands once and can be counted, and its bucket. It names
//! no device, holds no value, and its times are the bucket's start. It is superseded, so that no total and no model sees
//! it; readers of rows leave it out ([`super::readings_from_batch`]).

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
    },
    datatypes::{Field, SchemaRef},
};
use chrono::{NaiveDate, NaiveTime};

use super::{columns, instant_type};
use crate::lake::LakeError;

/// What stands in a tombstone's `device_id`: no device can be called so.
pub const ERASED_DEVICE: &str = "";

/// The reason of a dead letter that was erased; its key and bytes are gone.
pub const ERASED_REASON: &str = "erased";

/// Tombstones of readings: one for each row of the batch, in the same order.
///
/// # Errors
/// [`LakeError::Refused`] if another program added a column that must hold a value.
pub fn tombstones_of_readings(batch: &RecordBatch, bucket: NaiveDate) -> Result<RecordBatch, LakeError> {
    let (rows, schema) = (batch.num_rows(), batch.schema());
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| -> Result<ArrayRef, LakeError> {
        Ok(match field.name().as_str() {
            "source" | "source_partition" | "source_offset" => Arc::clone(column),
            "device_id" => Arc::new(StringArray::from(vec![ERASED_DEVICE; rows])),
            "event_time" | "ingested_at" => {
                let start = TimestampMicrosecondArray::from(vec![start_micros(bucket); rows]);
                Arc::new(start.with_data_type(instant_type()))
            }
            "is_duplicate" => Arc::new(BooleanArray::from(vec![false; rows])),
            "superseded" => Arc::new(BooleanArray::from(vec![true; rows])),
            _ => nothing(field, rows)?,
        })
    });
    of_columns(&schema, columns.collect::<Result<_, _>>()?)
}

/// Dead letters with tombstones in the place of those that `found` says, row by row.
///
/// # Errors
/// [`LakeError::Corrupt`] if the batch is not one of dead letters.
pub fn tombstones_of_dead_letters(
    batch: &RecordBatch,
    bucket: NaiveDate,
    found: &[bool],
) -> Result<RecordBatch, LakeError> {
    let (keys, raws) = (columns::binaries(batch, "key")?, columns::binaries(batch, "raw")?);
    let (reasons, seen) = (columns::strings(batch, "reason")?, columns::instants(batch, "seen_at")?);
    let gone = |row: usize| found.get(row).copied().unwrap_or_default();
    let rows = 0..batch.num_rows();
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| -> ArrayRef {
        match field.name().as_str() {
            "key" => {
                let kept = rows.clone().map(|row| (!gone(row) && keys.is_valid(row)).then(|| keys.value(row)));
                Arc::new(BinaryArray::from_iter(kept))
            }
            "raw" => {
                let kept = rows.clone().map(|row| if gone(row) { b"" } else { raws.value(row) });
                Arc::new(BinaryArray::from_iter_values(kept))
            }
            "reason" => {
                let kept = rows.clone().map(|row| if gone(row) { ERASED_REASON } else { reasons.value(row) });
                Arc::new(StringArray::from_iter_values(kept))
            }
            "seen_at" => {
                let kept = rows.clone().map(|row| if gone(row) { start_micros(bucket) } else { seen.value(row) });
                Arc::new(TimestampMicrosecondArray::from_iter_values(kept).with_data_type(instant_type()))
            }
            _ => Arc::clone(column),
        }
    });
    of_columns(&schema, columns.collect())
}

fn nothing(field: &Field, rows: usize) -> Result<ArrayRef, LakeError> {
    if !field.is_nullable() {
        let reason = format!(
            "column `{}` must hold a value, and nothing may be left in it: let the program that added it allow nulls",
            field.name()
        );
        return Err(LakeError::Refused { reason });
    }
    Ok(new_null_array(field.data_type(), rows))
}

fn start_micros(bucket: NaiveDate) -> i64 {
    bucket.and_time(NaiveTime::MIN).and_utc().timestamp_micros()
}

fn of_columns(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch, LakeError> {
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| columns::corrupt(&error))
}
