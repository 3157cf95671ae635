//! Answers of the engine in the columns that were promised, whatever types it chose on its way.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    compute::cast,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use kilowatch_shared::lake::LakeError;

/// Columns that may all hold nulls.
pub(super) fn schema_of(columns: Vec<(&str, DataType)>) -> SchemaRef {
    let fields: Vec<Field> = columns.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect();
    Arc::new(Schema::new(fields))
}

/// The columns of a batch, by their order, as those of `schema`.
pub(super) fn shaped(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, LakeError> {
    let wrong = |error: arrow::error::ArrowError| LakeError::Corrupt { reason: format!("comparison: {error}") };
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(wrong)
}
