//! Hourly aggregates that differ between two versions of a table of readings.

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, SchemaRef},
};
use kilowatch_shared::lake::{delta::DeltaLake, schema::instant_type};

use super::{
    Buckets, Versions,
    rows::next,
    shape::{schema_of, shaped},
};
use crate::{
    BatchError,
    sql::{Names, fill},
};

/// The columns of [`changed_hours`]. An hour without a value has no sum and no extremes.
#[must_use]
pub fn hours_schema() -> SchemaRef {
    schema_of(vec![
        ("device_id", DataType::Utf8),
        ("hour", instant_type()),
        ("measure", DataType::Utf8),
        ("count_before", DataType::Int64),
        ("count_after", DataType::Int64),
        ("sum_before", DataType::Float64),
        ("sum_after", DataType::Float64),
        ("min_before", DataType::Float64),
        ("min_after", DataType::Float64),
        ("max_before", DataType::Float64),
        ("max_after", DataType::Float64),
    ])
}

/// Hands the hours that differ in these buckets to `take`, as batches of [`hours_schema`], and counts them: one a device,
/// hour and measure. Rows that repeat another one, or that a file's row replaces, do not count, as in the roll-ups. A table
/// without measures has none.
///
/// # Errors
/// [`BatchError::Lake`], or those of `take`.
pub async fn changed_hours<E: From<BatchError>>(
    lake: &DeltaLake,
    versions: &Versions,
    buckets: &Buckets,
    mut take: impl AsyncFnMut(RecordBatch) -> Result<(), E>,
) -> Result<u64, E> {
    let schema = hours_schema();
    let fields = versions.later.schema.fields().iter();
    let measures: Vec<&str> =
        fields.filter(|field| *field.data_type() == DataType::Float64).map(|field| field.name().as_str()).collect();
    let mut hours = 0;
    for bucket in buckets {
        let session = versions.session(lake.store(), &versions.files_of(*bucket)).map_err(BatchError::from)?;
        for measure in &measures {
            let query = fill(include_str!("hours.sql"), &[Names { word: "measure", names: &[measure] }]);
            let mut batches = session.stream(&query).await.map_err(BatchError::from)?;
            while let Some(batch) = next(&mut batches).await? {
                hours += batch.num_rows() as u64;
                take(shaped(&batch, &schema).map_err(BatchError::from)?).await?;
            }
        }
    }
    Ok(hours)
}
