//! Batches of one bucket as the bytes of a Parquet file.

use arrow::{
    datatypes::{DataType, SchemaRef},
    record_batch::RecordBatch,
};
use bytes::Bytes;
use chrono::NaiveDate;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

use super::{FileStats, stats::StatsCollector};
use crate::lake::LakeError;

/// A quarter of a million rows: small enough to skip within a file and to bound the encoder, large enough to compress.
const ROWS_PER_GROUP: usize = 1 << 18;

/// A data file that nobody has stored yet.
#[derive(Debug, Clone)]
pub struct EncodedFile {
    /// The bucket of all its rows.
    pub bucket: NaiveDate,
    /// The Parquet file.
    pub bytes: Bytes,
    /// What the log says about it.
    pub stats: FileStats,
}

/// Encodes batches of one bucket at once. Rows are stored in the order given; readers are fastest if they are sorted by
/// device and event time.
///
/// # Errors
/// [`LakeError::Corrupt`] if a batch is not of `schema`.
pub fn encode_file(schema: &SchemaRef, bucket: NaiveDate, batches: &[RecordBatch]) -> Result<EncodedFile, LakeError> {
    let mut writer =
        ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties(schema)?)).map_err(|e| corrupt(&e))?;
    let mut stats = StatsCollector::default();
    for batch in batches {
        writer.write(batch).map_err(|e| corrupt(&e))?;
        stats.add(batch)?;
    }
    let bytes = writer.into_inner().map_err(|e| corrupt(&e))?;
    Ok(EncodedFile { bucket, bytes: bytes.into(), stats: stats.finish() })
}

fn properties(schema: &SchemaRef) -> Result<WriterProperties, LakeError> {
    // Level 1: higher ones cost ingest more time than they save space on columns that a dictionary already shrank.
    let zstd = ZstdLevel::try_new(1).map_err(|e| corrupt(&e))?;
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("kilowatch ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(zstd))
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for field in schema.fields() {
        // Instants and offsets climb, so their differences are small while no value repeats. Measures do repeat: a
        // meter has a few thousand distinct values.
        if matches!(field.data_type(), DataType::Timestamp(..) | DataType::Int64) {
            let column = ColumnPath::from(field.name().as_str());
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
    }
    Ok(properties.build())
}

fn corrupt(error: &ParquetError) -> LakeError {
    LakeError::Corrupt { reason: format!("rows cannot be encoded: {error}") }
}
