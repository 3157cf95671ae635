//! Columns of a batch by name and type, and what cells mean.

use arrow::array::{BinaryArray, PrimitiveArray};
use arrow::{
    array::{Array, AsArray, BooleanArray, Float64Array, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType},
};
use chrono::{DateTime, Utc};

use super::instant_type;
use crate::{
    lake::LakeError,
    position::{Offset, SourceId, SourcePosition},
};

/// A column in the type that the lake declares; another writer may have stored it as a view or a dictionary.
pub(super) fn strings(batch: &RecordBatch, name: &str) -> Result<StringArray, LakeError> {
    Ok(column(batch, name, &DataType::Utf8)?.as_string::<i32>().clone())
}

pub(super) fn optional_strings(batch: &RecordBatch, name: &str) -> Result<Option<StringArray>, LakeError> {
    if batch.column_by_name(name).is_none() { Ok(None) } else { strings(batch, name).map(Some) }
}

pub(super) fn optional_floats(batch: &RecordBatch, name: &str) -> Result<Option<Float64Array>, LakeError> {
    if batch.column_by_name(name).is_none() {
        return Ok(None);
    }
    Ok(Some(column(batch, name, &DataType::Float64)?.as_primitive().clone()))
}

pub(super) fn binaries(batch: &RecordBatch, name: &str) -> Result<BinaryArray, LakeError> {
    Ok(column(batch, name, &DataType::Binary)?.as_binary::<i32>().clone())
}

pub(super) fn booleans(batch: &RecordBatch, name: &str) -> Result<BooleanArray, LakeError> {
    Ok(column(batch, name, &DataType::Boolean)?.as_boolean().clone())
}

pub(super) fn instants(batch: &RecordBatch, name: &str) -> Result<PrimitiveArray<TimestampMicrosecondType>, LakeError> {
    Ok(column(batch, name, &instant_type())?.as_primitive().clone())
}

pub(super) fn instant(micros: i64) -> Result<DateTime<Utc>, LakeError> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| LakeError::Corrupt { reason: format!("instant {micros} us is outside the calendar") })
}

/// The positions of a batch's rows.
pub(super) struct Positions {
    sources: StringArray,
    partitions: PrimitiveArray<Int32Type>,
    offsets: PrimitiveArray<Int64Type>,
    last: Option<SourceId>,
}

impl Positions {
    pub(super) fn of(batch: &RecordBatch) -> Result<Self, LakeError> {
        Ok(Self {
            sources: strings(batch, "source")?,
            partitions: column(batch, "source_partition", &DataType::Int32)?.as_primitive().clone(),
            offsets: column(batch, "source_offset", &DataType::Int64)?.as_primitive().clone(),
            last: None,
        })
    }

    pub(super) fn at(&mut self, row: usize) -> Result<SourcePosition, LakeError> {
        let text = self.sources.value(row);
        // Rows of one source follow each other: its id is parsed once and shared.
        let source = match self.last.take() {
            Some(source) if source.as_str() == text => source,
            _ => SourceId::parse(text).map_err(|error| corrupt(&error))?,
        };
        self.last = Some(source.clone());
        let partition = u32::try_from(self.partitions.value(row)).map_err(|error| corrupt(&error))?;
        let offset = Offset::try_from_i64(self.offsets.value(row)).map_err(|error| corrupt(&error))?;
        Ok(SourcePosition { source, partition, offset })
    }
}

pub(super) fn corrupt(error: &dyn std::fmt::Display) -> LakeError {
    LakeError::Corrupt { reason: error.to_string() }
}

fn column(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<arrow::array::ArrayRef, LakeError> {
    let found = batch
        .column_by_name(name)
        .ok_or_else(|| LakeError::Corrupt { reason: format!("a data file has no column `{name}`") })?;
    if found.data_type() == data_type {
        return Ok(found.clone());
    }
    cast(found, data_type).map_err(|error| LakeError::Corrupt { reason: format!("column `{name}`: {error}") })
}
