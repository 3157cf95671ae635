//! Dead letters as rows of Arrow batches, and back.

use std::sync::Arc;

use arrow::array::{
    Array, BinaryBuilder, Int32Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use bytes::Bytes;

use super::{batch_of, columns, dead_letters_schema, instant_type};
use crate::{dead_letter::DeadLetter, lake::LakeError};

/// Dead letters as a batch of [`dead_letters_schema`].
///
/// # Errors
/// [`LakeError::Corrupt`] if the columns do not fit the schema, which is a bug.
pub fn dead_letters_to_batch(rows: &[&DeadLetter]) -> Result<RecordBatch, LakeError> {
    let mut sources = StringBuilder::new();
    let mut partitions = Int32Builder::with_capacity(rows.len());
    let mut offsets = Int64Builder::with_capacity(rows.len());
    let mut keys = BinaryBuilder::new();
    let mut raws = BinaryBuilder::new();
    let mut reasons = StringBuilder::new();
    let mut seen = TimestampMicrosecondBuilder::with_capacity(rows.len()).with_data_type(instant_type());
    for row in rows {
        sources.append_value(row.position.source.as_str());
        partitions.append_value(row.position.partition.cast_signed());
        offsets.append_value(row.position.offset.as_i64());
        keys.append_option(row.key.as_deref());
        raws.append_value(&row.raw);
        reasons.append_value(&row.reason);
        seen.append_value(row.seen_at.timestamp_micros());
    }
    batch_of(
        dead_letters_schema(),
        vec![
            Arc::new(sources.finish()),
            Arc::new(partitions.finish()),
            Arc::new(offsets.finish()),
            Arc::new(keys.finish()),
            Arc::new(raws.finish()),
            Arc::new(reasons.finish()),
            Arc::new(seen.finish()),
        ],
    )
}

/// The dead letters of a batch.
///
/// # Errors
/// [`LakeError::Corrupt`] if the batch cannot have come from [`dead_letters_to_batch`].
pub fn dead_letters_from_batch(batch: &RecordBatch) -> Result<Vec<DeadLetter>, LakeError> {
    let mut positions = columns::Positions::of(batch)?;
    let keys = columns::binaries(batch, "key")?;
    let raws = columns::binaries(batch, "raw")?;
    let reasons = columns::strings(batch, "reason")?;
    let seen = columns::instants(batch, "seen_at")?;
    (0..batch.num_rows())
        .map(|row| {
            Ok(DeadLetter {
                position: positions.at(row)?,
                key: keys.is_valid(row).then(|| Bytes::copy_from_slice(keys.value(row))),
                raw: Bytes::copy_from_slice(raws.value(row)),
                reason: reasons.value(row).to_owned(),
                seen_at: columns::instant(seen.value(row))?,
            })
        })
        .collect()
}
