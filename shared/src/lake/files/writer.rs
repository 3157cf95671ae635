//! A stream of batches, spread over the files of their buckets.

use std::collections::BTreeMap;

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use chrono::NaiveDate;

use super::{EncodedFile, FileEncoder};
use crate::{
    lake::{LakeError, schema::split_by_bucket},
    stream::profile::Bucket,
};

/// A file of 64 MiB is quick to read whole and few enough for years of minutes.
const FILE_BYTES: usize = 64 << 20;
/// Files in the making hold at most this much together: the largest is finished early when many buckets are open.
const OPEN_BYTES: usize = 128 << 20;
/// An encoder costs about 1 MiB before its first row, whatever the bytes say.
const OPEN_FILES: usize = 64;

/// Encodes batches of readings in any order of buckets, with bounded memory. Finished files come back to the caller.
#[derive(Debug)]
pub struct BucketWriter {
    schema: SchemaRef,
    bucket: Bucket,
    time_column: &'static str,
    open: BTreeMap<NaiveDate, FileEncoder>,
}

impl BucketWriter {
    /// A writer of files with these columns, cut by the instants in `time_column`.
    #[must_use]
    pub const fn new(schema: SchemaRef, bucket: Bucket, time_column: &'static str) -> Self {
        Self { schema, bucket, time_column, open: BTreeMap::new() }
    }

    /// Adds rows; gives the files that are full.
    ///
    /// # Errors
    /// [`LakeError::Corrupt`] if the rows do not fit the columns.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Vec<EncodedFile>, LakeError> {
        let mut full = Vec::new();
        for (bucket, rows) in split_by_bucket(self.bucket, self.time_column, batch)? {
            let mut encoder = match self.open.remove(&bucket) {
                Some(encoder) => encoder,
                None => FileEncoder::try_new(&self.schema, bucket)?,
            };
            encoder.write(&rows)?;
            if encoder.size_bytes() >= FILE_BYTES {
                full.push(encoder.finish()?);
            } else {
                self.open.insert(bucket, encoder);
            }
            while self.is_over_budget() {
                match self.take_largest() {
                    Some(encoder) => full.push(encoder.finish()?),
                    None => break,
                }
            }
        }
        Ok(full)
    }

    /// Ends the open files.
    ///
    /// # Errors
    /// [`LakeError::Corrupt`] if the last rows cannot be encoded.
    pub fn finish(self) -> Result<Vec<EncodedFile>, LakeError> {
        self.open.into_values().map(FileEncoder::finish).collect()
    }

    fn is_over_budget(&self) -> bool {
        self.open.len() > OPEN_FILES || self.open.values().map(FileEncoder::size_bytes).sum::<usize>() > OPEN_BYTES
    }

    fn take_largest(&mut self) -> Option<FileEncoder> {
        let largest = self.open.iter().max_by_key(|(_, encoder)| encoder.size_bytes()).map(|(bucket, _)| *bucket)?;
        self.open.remove(&largest)
    }
}
