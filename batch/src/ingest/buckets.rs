//! Rows are gathered by time bucket until they make a file.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, BooleanArray, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
    },
    buffer::NullBuffer,
    compute::{concat_batches, filter_record_batch},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use chrono::{DateTime, NaiveDate, Utc};
use kilowatch_shared::{
    lake::{
        files::{EncodedFile, encode_file},
        schema::{instant_type, readings_schema, split_by_bucket},
    },
    position::SourceId,
    stream::{StreamProfile, profile::Bucket},
};

use super::{
    ParsedRows,
    keys::{Fate, Repeat},
};
use crate::BatchError;

/// When rows leave the buffer.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// A bucket with so many rows makes a file.
    file_rows: usize,
    /// So many rows may wait, all buckets together; one over it sends the largest bucket off.
    waiting_rows: usize,
    /// From so many rows on, a bucket that the file seems to have left is written at once, beside the parsing.
    worth_a_file_rows: usize,
}

/// A file is about one row group, which takes some 30 MB while it is encoded; 40 MB may wait. Input in time order never
/// comes near, input in random order ends in several files a bucket.
const LIMITS: Limits = Limits { file_rows: 1 << 18, waiting_rows: 1 << 19, worth_a_file_rows: 16 << 10 };

/// Rows of one bucket that make a file.
#[derive(Debug)]
pub(crate) struct BucketRows {
    /// The first day of the bucket.
    pub bucket: NaiveDate,
    /// `device_id`, `event_time`, `source_offset`, the measures, the tags.
    pub rows: RecordBatch,
}

/// Rows by bucket.
#[derive(Debug)]
pub(crate) struct BucketBuffer {
    length: Bucket,
    schema: SchemaRef,
    limits: Limits,
    waiting: BTreeMap<NaiveDate, Waiting>,
    waiting_rows: usize,
    chunk: u64,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: Vec<RecordBatch>,
    rows: usize,
    last_chunk: u64,
}

impl BucketBuffer {
    /// An empty buffer for a stream.
    pub(crate) fn new(profile: &StreamProfile) -> Self {
        let mut fields = vec![
            Field::new("device_id", DataType::Utf8, false),
            Field::new("event_time", instant_type(), false),
            Field::new("source_offset", DataType::Int64, false),
        ];
        fields.extend(profile.measures.iter().map(|measure| Field::new(&measure.name, DataType::Float64, true)));
        fields.extend(profile.tags.iter().map(|tag| Field::new(tag, DataType::Utf8, true)));
        Self {
            length: profile.bucket,
            schema: Arc::new(Schema::new(fields)),
            limits: LIMITS,
            waiting: BTreeMap::new(),
            waiting_rows: 0,
            chunk: 0,
        }
    }

    /// Adds rows without those that repeat a key and take no earlier row's place; returns what is ready to be written.
    pub(crate) fn push(&mut self, rows: &ParsedRows, repeats: &[Repeat]) -> Result<Vec<BucketRows>, BatchError> {
        self.chunk += 1;
        for (bucket, batch) in self.split(rows, repeats)? {
            let waiting = self.waiting.entry(bucket).or_default();
            waiting.last_chunk = self.chunk;
            waiting.rows += batch.num_rows();
            self.waiting_rows += batch.num_rows();
            waiting.batches.push(batch);
        }
        let left = |waiting: &Waiting| waiting.last_chunk < self.chunk && waiting.rows >= self.limits.worth_a_file_rows;
        let ready: Vec<NaiveDate> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.rows >= self.limits.file_rows || left(waiting))
            .map(|(bucket, _)| *bucket)
            .collect();
        let mut files = Vec::new();
        for bucket in ready {
            files.extend(self.take(bucket)?);
        }
        while self.waiting_rows > self.limits.waiting_rows {
            let Some(largest) = self.waiting.iter().max_by_key(|(_, waiting)| waiting.rows).map(|(key, _)| *key) else {
                break;
            };
            files.extend(self.take(largest)?);
        }
        Ok(files)
    }

    /// What still waits.
    pub(crate) fn finish(mut self) -> Result<Vec<BucketRows>, BatchError> {
        let buckets: Vec<NaiveDate> = self.waiting.keys().copied().collect();
        let mut files = Vec::new();
        for bucket in buckets {
            files.extend(self.take(bucket)?);
        }
        Ok(files)
    }

    fn take(&mut self, bucket: NaiveDate) -> Result<Option<BucketRows>, BatchError> {
        let Some(waiting) = self.waiting.remove(&bucket) else { return Ok(None) };
        self.waiting_rows -= waiting.rows;
        let rows = concat_batches(&self.schema, &waiting.batches).map_err(misfit)?;
        Ok(Some(BucketRows { bucket, rows }))
    }

    fn split(&self, rows: &ParsedRows, repeats: &[Repeat]) -> Result<Vec<(NaiveDate, RecordBatch)>, BatchError> {
        let mut batch = self.batch(rows).map_err(misfit)?;
        if !repeats.is_empty() {
            let mut kept = vec![true; rows.len()];
            for repeat in repeats.iter().filter(|repeat| repeat.fate != Fate::Replaces) {
                if let Some(kept) = kept.get_mut(repeat.index) {
                    *kept = false;
                }
            }
            batch = filter_record_batch(&batch, &BooleanArray::from(kept)).map_err(misfit)?;
        }
        Ok(split_by_bucket(self.length, "event_time", &batch)?)
    }

    fn batch(&self, rows: &ParsedRows) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(rows.device_column()),
            Arc::new(TimestampMicrosecondArray::from(rows.times.clone()).with_timezone("UTC")),
            Arc::new(rows.number_column()),
        ];
        columns.extend(rows.measures.iter().map(|column| Arc::new(column.clone()) as ArrayRef));
        columns.extend(rows.tags.iter().map(|column| Arc::new(column.clone()) as ArrayRef));
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

impl BucketRows {
    /// How many rows lack at least one measure.
    pub(crate) fn count_missing(&self, profile: &StreamProfile) -> u64 {
        profile
            .measures
            .iter()
            .filter_map(|measure| self.rows.column_by_name(&measure.name))
            .fold(None, |nulls, column| NullBuffer::union(nulls.as_ref(), column.nulls()))
            .map_or(0, |nulls| nulls.null_count() as u64)
    }

    /// The rows as a data file of the lake.
    pub(crate) fn encode(
        &self,
        profile: &StreamProfile,
        source: &SourceId,
        ingested_at: DateTime<Utc>,
    ) -> Result<EncodedFile, BatchError> {
        let schema = readings_schema(profile);
        let rows = self.rows.num_rows();
        let columns = schema
            .fields()
            .iter()
            .map(|field| -> ArrayRef {
                match (field.name().as_str(), self.rows.column_by_name(field.name())) {
                    (_, Some(column)) => Arc::clone(column),
                    ("source", _) => Arc::new(StringArray::new_repeated(source.as_str(), rows)),
                    ("source_partition", _) => Arc::new(Int32Array::from_value(0, rows)),
                    ("ingested_at", _) => Arc::new(
                        TimestampMicrosecondArray::from_value(ingested_at.timestamp_micros(), rows)
                            .with_timezone("UTC"),
                    ),
                    ("is_duplicate" | "superseded", _) => Arc::new(BooleanArray::from(vec![false; rows])),
                    _ => new_null_array(field.data_type(), rows),
                }
            })
            .collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(misfit)?;
        Ok(encode_file(&schema, self.bucket, &[batch])?)
    }
}

/// Columns of this module's own making that do not fit together are a bug.
fn misfit(error: ArrowError) -> BatchError {
    BatchError::Internal { job: "ingest", reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::AsArray,
        datatypes::{Int64Type, TimestampMicrosecondType},
    };
    use kilowatch_shared::{lake::schema::bucket_of, position::StreamName, stream::StreamRegistry};
    use proptest::prelude::*;

    use super::*;
    use crate::ingest::rows::RowsBuilder;

    const DAY_MICROS: i64 = 86_400_000_000;

    fn household() -> StreamProfile {
        StreamRegistry::built_in().unwrap().find(&StreamName::parse("household").unwrap()).unwrap().clone()
    }

    /// Rows on these days since 1970, numbered from `first`.
    fn rows(days: &[i64], first: u64) -> ParsedRows {
        let mut rows = RowsBuilder::new(7, 0, days.len());
        let device = rows.device("m").unwrap();
        for (day, number) in days.iter().zip(first..) {
            rows.push(number, device, day * DAY_MICROS);
        }
        rows.finish()
    }

    proptest! {
        #[test]
        fn every_row_that_counts_leaves_once_in_a_file_of_its_own_bucket(
            chunks in prop::collection::vec(prop::collection::vec((0_i64..150, prop::bool::weighted(0.1)), 0..30), 0..12),
        ) {
            let profile = household();
            let limits = Limits { file_rows: 20, waiting_rows: 40, worth_a_file_rows: 8 };
            let mut buffer = BucketBuffer { limits, ..BucketBuffer::new(&profile) };
            let (mut files, mut expected, mut next) = (Vec::new(), Vec::new(), 1);
            for chunk in chunks {
                let days: Vec<i64> = chunk.iter().map(|(day, _)| *day).collect();
                let parsed = rows(&days, next);
                let repeats: Vec<Repeat> = (0..chunk.len())
                    .filter(|index| chunk[*index].1)
                    .map(|index| Repeat { index, identical: true, within_file: true, fate: Fate::Skipped })
                    .collect();
                let counts = (next..).zip(&chunk).filter(|(_, (_, repeated))| !repeated);
                expected.extend(counts.map(|(number, (day, _))| (number.cast_signed(), day * DAY_MICROS)));
                next += chunk.len() as u64;
                files.extend(buffer.push(&parsed, &repeats).unwrap());
                prop_assert!(buffer.waiting_rows <= limits.waiting_rows);
            }
            files.extend(buffer.finish().unwrap());
            let mut found = Vec::new();
            for file in &files {
                let times = file.rows.column(1).as_primitive::<TimestampMicrosecondType>();
                let numbers = file.rows.column(2).as_primitive::<Int64Type>();
                for (number, time) in numbers.values().iter().zip(times.values()) {
                    let instant = DateTime::from_timestamp_micros(*time).unwrap();
                    prop_assert_eq!(bucket_of(profile.bucket, instant), file.bucket);
                    found.push((*number, *time));
                }
            }
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_bucket_that_the_file_has_left_is_written_before_the_end() {
        let limits = Limits { file_rows: 100, waiting_rows: 100, worth_a_file_rows: 3 };
        let mut buffer = BucketBuffer { limits, ..BucketBuffer::new(&household()) };
        assert!(buffer.push(&rows(&[0, 1, 2], 1), &[]).unwrap().is_empty());
        let files = buffer.push(&rows(&[31, 32], 4), &[]).unwrap();
        assert_eq!(files.iter().map(|file| file.rows.num_rows()).collect::<Vec<_>>(), [3]);
    }
}
