//! The columns of the lake's tables, and rows on their way in and out of them.
//!
//! `bucket` is the tables' partition column: it stands in the paths and in the log, not in the data files.

mod bucket;
mod columns;
mod dead_letters;
mod erased;
mod gathered;
mod readings;

use std::{collections::HashMap, sync::Arc};

use arrow::{
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit},
    record_batch::RecordBatch,
};

pub use bucket::{bucket_of, end_of_bucket, split_by_bucket};
pub use dead_letters::{dead_letters_from_batch, dead_letters_to_batch};
pub use erased::{ERASED_DEVICE, ERASED_REASON, tombstones_of_dead_letters, tombstones_of_readings};
pub use gathered::{Place, PlacedRun, gathered_to_batch};
pub use readings::{readings_from_batch, readings_to_batch};

use super::{LakeError, LakeTable};
use crate::stream::StreamProfile;

/// Name of the partition column.
pub const BUCKET_COLUMN: &str = "bucket";

/// Key of a column's metadata under which the unit of its measure stands.
pub const UNIT_KEY: &str = "kilowatch.unit";

/// Key of a column's metadata under which stands what it is of a profile: `measure` or `tag`. A column of another program has
/// none.
pub const ROLE_KEY: &str = "kilowatch.role";

/// Instants in the lake are whole microseconds, in UTC.
#[must_use]
pub fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The partition column.
#[must_use]
pub fn bucket_field() -> FieldRef {
    Arc::new(Field::new(BUCKET_COLUMN, DataType::Date32, true))
}

/// The columns of a table's data files, in their order.
#[must_use]
pub fn file_schema(profile: &StreamProfile, table: LakeTable) -> SchemaRef {
    match table {
        LakeTable::Readings => readings_schema(profile),
        LakeTable::DeadLetters => dead_letters_schema(),
    }
}

/// The same columns as the table declares them: those of measures and tags say that they are, and their units.
#[must_use]
pub fn declared_schema(profile: &StreamProfile, table: LakeTable) -> SchemaRef {
    let schema = file_schema(profile, table);
    if table == LakeTable::DeadLetters {
        return schema;
    }
    let metadata_of = |name: &str| -> HashMap<String, String> {
        let role = |role: &str| (ROLE_KEY.to_owned(), role.to_owned());
        match profile.measures.iter().find(|measure| measure.name == name) {
            Some(measure) if measure.unit.is_empty() => [role("measure")].into(),
            Some(measure) => [role("measure"), (UNIT_KEY.to_owned(), measure.unit.clone())].into(),
            None if profile.tags.iter().any(|tag| tag == name) => [role("tag")].into(),
            None => HashMap::new(),
        }
    };
    let fields = schema.fields().iter().map(|field| {
        let metadata = metadata_of(field.name());
        if metadata.is_empty() {
            FieldRef::clone(field)
        } else {
            Arc::new(field.as_ref().clone().with_metadata(metadata))
        }
    });
    Arc::new(Schema::new(fields.collect::<Vec<FieldRef>>()))
}

/// `device_id, event_time, <measures>, <tags>, source, source_partition, source_offset, ingested_at, is_duplicate,
/// superseded, injected`.
#[must_use]
pub fn readings_schema(profile: &StreamProfile) -> SchemaRef {
    let mut fields = vec![required("device_id", DataType::Utf8), required("event_time", instant_type())];
    fields.extend(profile.measures.iter().map(|measure| optional(&measure.name, DataType::Float64)));
    fields.extend(profile.tags.iter().map(|tag| optional(tag, DataType::Utf8)));
    fields.extend(position_fields());
    fields.extend([
        required("ingested_at", instant_type()),
        required("is_duplicate", DataType::Boolean),
        required("superseded", DataType::Boolean),
        optional("injected", DataType::Utf8),
    ]);
    Arc::new(Schema::new(fields))
}

/// `source, source_partition, source_offset, key, raw, reason, seen_at`.
#[must_use]
pub fn dead_letters_schema() -> SchemaRef {
    let mut fields = position_fields().to_vec();
    fields.extend([
        optional("key", DataType::Binary),
        required("raw", DataType::Binary),
        required("reason", DataType::Utf8),
        required("seen_at", instant_type()),
    ]);
    Arc::new(Schema::new(fields))
}

fn position_fields() -> [Field; 3] {
    [
        required("source", DataType::Utf8),
        required("source_partition", DataType::Int32),
        required("source_offset", DataType::Int64),
    ]
}

fn required(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

fn optional(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn batch_of(schema: SchemaRef, columns: Vec<arrow::array::ArrayRef>) -> Result<RecordBatch, LakeError> {
    RecordBatch::try_new(schema, columns)
        .map_err(|error| LakeError::Corrupt { reason: format!("rows do not fit their table: {error}") })
}
