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

/// The column that data files are sorted by first.
const DEVICE_COLUMN: &str = "device_id";

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
    let mut file = FileEncoder::try_new(schema, bucket)?;
    for batch in batches {
        file.write(batch)?;
    }
    file.finish()
}

/// A data file in the making, batch by batch.
#[derive(Debug)]
pub struct FileEncoder {
    bucket: NaiveDate,
    writer: ArrowWriter<Vec<u8>>,
    stats: StatsCollector,
}

impl FileEncoder {
    /// A file of this bucket without rows.
    ///
    /// # Errors
    /// [`LakeError::Corrupt`] for a schema that Parquet cannot hold.
    pub fn try_new(schema: &SchemaRef, bucket: NaiveDate) -> Result<Self, LakeError> {
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties(schema)?));
        Ok(Self { bucket, writer: writer.map_err(|e| corrupt(&e))?, stats: StatsCollector::default() })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// [`LakeError::Corrupt`] if they are not of the file's schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        self.writer.write(batch).map_err(|e| corrupt(&e))?;
        self.stats.add(batch)
    }

    /// The whole file.
    ///
    /// # Errors
    /// [`LakeError::Corrupt`] if its last rows cannot be encoded.
    pub fn finish(self) -> Result<EncodedFile, LakeError> {
        let bytes = self.writer.into_inner().map_err(|e| corrupt(&e))?;
        Ok(EncodedFile { bucket: self.bucket, bytes: bytes.into(), stats: self.stats.finish() })
    }
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
        let column = ColumnPath::from(field.name().as_str());
        // Devices follow each other in a file, so their ranges tell its parts apart; other texts are all over it.
        if *field.data_type() == DataType::Utf8 && field.name() != DEVICE_COLUMN {
            properties = properties.set_column_statistics_enabled(column.clone(), EnabledStatistics::None);
        }
        // Instants and offsets climb, so their differences are small while no value repeats. Measures do repeat: a
        // meter has a few thousand distinct values.
        if matches!(field.data_type(), DataType::Timestamp(..) | DataType::Int64) {
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
