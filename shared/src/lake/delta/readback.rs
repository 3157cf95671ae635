//! What a replay asks of the lake: cuts out of the log, and rows of a partition in offset order.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{
    array::{BooleanArray, Int32Array, Int64Array, StringArray},
    compute::{and, cast, kernels::cmp},
    datatypes::DataType,
    error::ArrowError,
    record_batch::RecordBatch,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::join_all, stream};
use object_store::{ObjectStoreExt, path::Path};
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ArrowPredicateFn, ParquetRecordBatchReaderBuilder, RowFilter},
};
use serde_json::Value;

use super::{
    DeltaLake, LakeFile,
    append::{PINS_KEY, SEGMENTS_KEY, SegmentFacts, aside},
    commit::our_facts,
};
use crate::{
    checkpoint::{Cut, OffsetSpan, Pins, SourcePartition},
    dead_letter::DeadLetter,
    lake::{
        LakeError, LakeTable,
        paths::data_file,
        schema::{dead_letters_from_batch, readings_from_batch},
    },
    position::{Offset, PartitionId, StreamName},
    reading::LakeReading,
    stream::StreamProfile,
};

/// Commits read at once.
const COMMIT_READS: i64 = 16;
/// Data files read at once; each is in memory whole, and mostly has at most 64 MiB.
const FILE_READS: usize = 2;

/// Dead letters decoded at once: each may be as large as a message may be, a megabyte and more.
const DEAD_LETTERS_AT_ONCE: usize = 64;

/// What says where a row stands.
const POSITION_COLUMNS: [&str; 3] = ["source", "source_partition", "source_offset"];

type FileReader = ParquetRecordBatchReaderBuilder<Bytes>;

impl DeltaLake {
    /// What the commits of one table say of the cuts in `span`.
    pub(super) async fn cuts_in_log(
        &self,
        table: LakeTable,
        partition: &PartitionId,
        span: OffsetSpan,
    ) -> Result<Vec<Cut>, LakeError> {
        let log = self.table(&partition.stream, table);
        let mut cuts = BTreeMap::new();
        let Some(state) = log.newest().await? else { return Ok(Vec::new()) };
        let key = SourcePartition::from(partition);
        let mut pins = HashMap::new();
        let mut version = state.txn(&partition.txn_app_id()).map_or(-1, |txn| txn.set_by.max(state.begun_at));
        while version >= 0 {
            let first = version.saturating_sub(COMMIT_READS - 1).max(0);
            let commits = join_all((first..=version).rev().map(|version| log.commit_at(version))).await;
            for commit in commits {
                // Commits below a checkpoint may have been cleaned up; what they said is gone.
                let Some(commit) = commit? else { return Ok(cuts.into_values().collect()) };
                let Some(facts) = our_facts(&commit.lines) else { continue };
                for segment in segments_of(facts)?.into_iter().filter(|segment| segment.partition == key) {
                    for cut in segment.cuts.iter().filter(|cut| cut.offset >= span.from && cut.offset < span.to) {
                        let pins = shared_pins(&mut pins, facts.get(PINS_KEY), &cut.pins)?;
                        cuts.insert(cut.offset, Cut { offset: cut.offset, pins });
                    }
                    if segment.from <= span.from {
                        return Ok(cuts.into_values().collect());
                    }
                }
            }
            version = first - 1;
        }
        Ok(cuts.into_values().collect())
    }

    pub(super) async fn rows_of(
        &self,
        profile: &StreamProfile,
        partition: &PartitionId,
        span: OffsetSpan,
    ) -> Result<Vec<LakeReading>, LakeError> {
        let log = self.table(&partition.stream, LakeTable::Readings);
        let Some(state) = log.newest().await? else { return Ok(Vec::new()) };
        state.check_whole(partition, span)?;
        let files: Vec<Arc<LakeFile>> = state.files().filter(|file| may_hold(file, partition, span)).cloned().collect();
        let mut rows: Vec<LakeReading> = stream::iter(files)
            .map(|file| {
                let location = data_file(&log.folder, &file.path);
                async move {
                    let narrowed = |file_reader| narrowed(file_reader, &file, partition, span);
                    self.decode_file(location, narrowed, |batch| readings_from_batch(profile, batch)).await
                }
            })
            .buffered(FILE_READS)
            .try_concat()
            .await?;
        rows.sort_by_key(|row| row.position.offset);
        Ok(rows)
    }

    /// The newest dead letters of a stream, latest first, at most `limit`.
    ///
    /// # Errors
    /// The store's, or [`LakeError::Corrupt`].
    pub async fn newest_dead_letters(&self, stream: &StreamName, limit: usize) -> Result<Vec<DeadLetter>, LakeError> {
        let log = self.table(stream, LakeTable::DeadLetters);
        let Some(state) = log.newest().await? else { return Ok(Vec::new()) };
        let mut files: Vec<&Arc<LakeFile>> = state.files().collect();
        files.sort_by_key(|file| std::cmp::Reverse(file.modified_at));
        let mut rows = Vec::new();
        for file in files {
            let location = data_file(&log.folder, &file.path);
            let narrowed = |reader: FileReader| reader.with_batch_size(DEAD_LETTERS_AT_ONCE);
            self.each_batch(location, narrowed, |batch| {
                rows.extend(dead_letters_from_batch(batch)?);
                rows.sort_by(|a, b| (b.seen_at, &b.position).cmp(&(a.seen_at, &a.position)));
                rows.truncate(limit);
                Ok(())
            })
            .await?;
            if rows.len() >= limit {
                break;
            }
        }
        Ok(rows)
    }

    async fn decode_file<T>(
        &self,
        location: Path,
        narrowed: impl FnOnce(FileReader) -> FileReader,
        rows: impl Fn(&RecordBatch) -> Result<Vec<T>, LakeError>,
    ) -> Result<Vec<T>, LakeError> {
        let mut all = Vec::new();
        self.each_batch(location, narrowed, |batch| {
            all.extend(rows(batch)?);
            Ok(())
        })
        .await?;
        Ok(all)
    }

    async fn each_batch(
        &self,
        location: Path,
        narrowed: impl FnOnce(FileReader) -> FileReader,
        mut take: impl FnMut(&RecordBatch) -> Result<(), LakeError>,
    ) -> Result<(), LakeError> {
        let bytes = self.store().objects().get(&location).await?.bytes().await?;
        let corrupt = |error: &dyn std::fmt::Display| LakeError::Corrupt { reason: format!("{location}: {error}") };
        aside(|| {
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| corrupt(&e))?;
            for batch in narrowed(reader).build().map_err(|e| corrupt(&e))? {
                take(&batch.map_err(|e| corrupt(&e))?)?;
            }
            Ok(())
        })
    }
}

/// The segments that the facts of a commit tell of.
pub(super) fn segments_of(facts: &serde_json::Map<String, Value>) -> Result<Vec<SegmentFacts>, LakeError> {
    let Some(segments) = facts.get(SEGMENTS_KEY) else { return Ok(Vec::new()) };
    serde_json::from_value(segments.clone())
        .map_err(|error| LakeError::Corrupt { reason: format!("segments in a commit: {error}") })
}

fn shared_pins(
    known: &mut HashMap<String, Arc<Pins>>,
    stored: Option<&Value>,
    id: &str,
) -> Result<Arc<Pins>, LakeError> {
    if let Some(pins) = known.get(id) {
        return Ok(pins.clone());
    }
    let body = stored.and_then(|stored| stored.get(id)).cloned().unwrap_or_default();
    let pins: Pins = serde_json::from_value(body)
        .map_err(|error| LakeError::Corrupt { reason: format!("pins {id} in a commit: {error}") })?;
    let pins = Arc::new(pins);
    known.insert(id.to_owned(), pins.clone());
    Ok(pins)
}

fn may_hold(file: &LakeFile, partition: &PartitionId, span: OffsetSpan) -> bool {
    let stats = &file.stats;
    let source = partition.source.as_str();
    let number = partition.partition.cast_signed();
    stats.source.as_ref().is_none_or(|(from, to)| from.as_str() <= source && source <= to.as_str())
        && stats.source_partition.is_none_or(|(from, to)| from <= number && number <= to)
        && stats.source_offset.is_none_or(|(from, to)| from < span.to.as_i64() && span.from.as_i64() <= to)
}

/// A reader that decodes whole rows of the span alone: a compacted file holds many spans.
fn narrowed(reader: FileReader, file: &LakeFile, partition: &PartitionId, span: OffsetSpan) -> FileReader {
    if holds_nothing_else(file, partition, span) {
        return reader;
    }
    let position = ProjectionMask::columns(reader.parquet_schema(), POSITION_COLUMNS);
    let partition = partition.clone();
    let in_span = ArrowPredicateFn::new(position, move |batch| rows_in(&batch, &partition, span));
    reader.with_row_filter(RowFilter::new(vec![Box::new(in_span)]))
}

fn holds_nothing_else(file: &LakeFile, partition: &PartitionId, span: OffsetSpan) -> bool {
    let stats = &file.stats;
    let source = partition.source.as_str();
    let number = partition.partition.cast_signed();
    stats.source.as_ref().is_some_and(|(from, to)| from == source && to == source)
        && stats.source_partition == Some((number, number))
        && stats.source_offset.is_some_and(|(from, to)| span.from.as_i64() <= from && to < span.to.as_i64())
}

fn rows_in(batch: &RecordBatch, partition: &PartitionId, span: OffsetSpan) -> Result<BooleanArray, ArrowError> {
    let column = |name: &str| {
        batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("a data file has no column `{name}`")))
    };
    let [sources, partitions, offsets] = POSITION_COLUMNS.map(column);
    // Another program may have rewritten the file, with texts and numbers of another width.
    let sources = cast(sources?, &DataType::Utf8)?;
    let (partitions, offsets) = (cast(partitions?, &DataType::Int32)?, cast(offsets?, &DataType::Int64)?);
    let at = |offset: Offset| Int64Array::new_scalar(offset.as_i64());
    let source = StringArray::new_scalar(partition.source.as_str());
    let number = Int32Array::new_scalar(partition.partition.cast_signed());
    and(
        &and(&cmp::eq(&sources, &source)?, &cmp::eq(&partitions, &number)?)?,
        &and(&cmp::gt_eq(&offsets, &at(span.from))?, &cmp::lt(&offsets, &at(span.to))?)?,
    )
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, Int64Array, StringArray},
        datatypes::DataType,
    };

    use super::*;
    use crate::position::SourceId;

    #[test]
    fn positions_are_found_whatever_the_width_of_their_columns() {
        let partition = PartitionId {
            stream: StreamName::parse("meters").unwrap(),
            source: SourceId::parse("kafka:meters#1").unwrap(),
            partition: 3,
        };
        let span = OffsetSpan { from: Offset::new(1), to: Offset::new(3) };
        let sources = StringArray::from(vec!["kafka:meters#1", "kafka:meters#1", "kafka:meters#1", "file:aa"]);
        let offsets: ArrayRef = Arc::new(Int64Array::from(vec![0, 1, 2, 2]));
        for text in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View] {
            for number in [DataType::Int32, DataType::Int64] {
                let batch = RecordBatch::try_from_iter([
                    ("source", cast(&sources, &text).unwrap()),
                    ("source_partition", cast(&Int64Array::from(vec![3; 4]), &number).unwrap()),
                    ("source_offset", Arc::clone(&offsets)),
                ])
                .unwrap();
                let found = rows_in(&batch, &partition, span).unwrap();
                assert_eq!(found, BooleanArray::from(vec![false, true, true, false]), "{text}, {number}");
            }
        }
    }
}
