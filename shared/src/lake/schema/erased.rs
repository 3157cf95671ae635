//! Tombstones: what is left in the tables of rows whose device was erased.
//!
//! A tombstone keeps its position, so that every position still stands once and can be counted, and its bucket. It names
//! no device, holds no value, and its times are the bucket's start. It is superseded, so that no total and no model sees
//! it; readers of rows leave it out ([`super::readings_from_batch`]).

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BinaryBuilder, BooleanArray, RecordBatch, StringArray, StringBuilder,
        TimestampMicrosecondArray, TimestampMicrosecondBuilder, new_null_array,
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

/// Dead letters with those in their tombstones' place that `names` finds by key, bytes and reason; tells how many.
///
/// # Errors
/// [`LakeError::Corrupt`] if the batch is not one of dead letters.
pub fn erase_dead_letters(
    batch: &RecordBatch,
    bucket: NaiveDate,
    names: impl Fn(Option<&[u8]>, &[u8], &str) -> bool,
) -> Result<(RecordBatch, u64), LakeError> {
    let (keys, raws) = (columns::binaries(batch, "key")?, columns::binaries(batch, "raw")?);
    let (reasons, seen) = (columns::strings(batch, "reason")?, columns::instants(batch, "seen_at")?);
    let found: Vec<bool> = (0..batch.num_rows())
        .map(|row| names(keys.is_valid(row).then(|| keys.value(row)), raws.value(row), reasons.value(row)))
        .collect();
    let erased = found.iter().filter(|found| **found).count() as u64;
    if erased == 0 {
        return Ok((batch.clone(), 0));
    }
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| -> ArrayRef {
        match field.name().as_str() {
            "key" => {
                let mut kept = BinaryBuilder::new();
                found.iter().enumerate().for_each(|(row, gone)| {
                    kept.append_option((!gone && keys.is_valid(row)).then(|| keys.value(row)));
                });
                Arc::new(kept.finish())
            }
            "raw" => {
                let mut kept = BinaryBuilder::new();
                found.iter().enumerate().for_each(|(row, gone)| {
                    kept.append_value(if *gone { b"" } else { raws.value(row) });
                });
                Arc::new(kept.finish())
            }
            "reason" => {
                let mut kept = StringBuilder::new();
                found.iter().enumerate().for_each(|(row, gone)| {
                    kept.append_value(if *gone { ERASED_REASON } else { reasons.value(row) });
                });
                Arc::new(kept.finish())
            }
            "seen_at" => {
                let mut kept = TimestampMicrosecondBuilder::new().with_data_type(instant_type());
                found.iter().enumerate().for_each(|(row, gone)| {
                    kept.append_value(if *gone { start_micros(bucket) } else { seen.value(row) });
                });
                Arc::new(kept.finish())
            }
            _ => Arc::clone(column),
        }
    });
    let columns = columns.collect();
    Ok((of_columns(&schema, columns)?, erased))
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
