//! Closed segments become data files and one commit.

use std::{cmp::Ordering, collections::BTreeMap};

use arrow::{datatypes::Schema, record_batch::RecordBatch};
use chrono::NaiveDate;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::{
    DeltaLake, WrittenFile,
    actions::{LogLine, Metadata, PROTOCOL},
    commit::Draft,
    state::TableState,
};
use crate::{
    checkpoint::{Pins, SourcePartition},
    dead_letter::DeadLetter,
    lake::{
        CommitOutcome, LakeError, LakeSnapshot, LakeTable, Segment,
        checks::{advance, still_where_base_has_them},
        files::{EncodedFile, encode_file, encode_segments},
        schema::{bucket_of, dead_letters_to_batch, declared_schema, file_schema, readings_to_batch},
    },
    position::Offset,
    reading::{LakeReading, ReadingColumns},
    stream::StreamProfile,
};

/// Uploads at once: enough to hide a store's latency, few enough for its connections.
pub(super) const UPLOADS: usize = 4;

/// A row of one of the two tables.
pub(super) trait LakeRow: Sized + Send + Sync {
    const TABLE: LakeTable;
    fn bucket(&self, profile: &StreamProfile) -> NaiveDate;
    /// Order inside a data file; equal rows keep the order of their offsets.
    fn in_file(&self, other: &Self) -> Ordering;
    fn batch(profile: &StreamProfile, rows: &[&Self]) -> Result<RecordBatch, LakeError>;
}

impl LakeRow for LakeReading {
    const TABLE: LakeTable = LakeTable::Readings;

    fn bucket(&self, profile: &StreamProfile) -> NaiveDate {
        bucket_of(profile.bucket, self.reading.event_time)
    }

    fn in_file(&self, other: &Self) -> Ordering {
        (&self.reading.device, self.reading.event_time).cmp(&(&other.reading.device, other.reading.event_time))
    }

    fn batch(profile: &StreamProfile, rows: &[&Self]) -> Result<RecordBatch, LakeError> {
        readings_to_batch(profile, rows)
    }
}

impl LakeRow for DeadLetter {
    const TABLE: LakeTable = LakeTable::DeadLetters;

    fn bucket(&self, profile: &StreamProfile) -> NaiveDate {
        bucket_of(profile.bucket, self.seen_at)
    }

    fn in_file(&self, other: &Self) -> Ordering {
        let key = |row: &Self| (row.position.source.clone(), row.position.partition);
        key(self).cmp(&key(other))
    }

    fn batch(_profile: &StreamProfile, rows: &[&Self]) -> Result<RecordBatch, LakeError> {
        dead_letters_to_batch(rows)
    }
}

/// A segment as the commit's metadata keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SegmentFacts {
    pub partition: SourcePartition,
    pub from: Offset,
    pub to: Offset,
    pub cuts: Vec<CutFacts>,
}

/// A cut; its pins stand once in the commit, under their id.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CutFacts {
    pub offset: Offset,
    pub pins: String,
}

/// Keys of a segment commit's facts.
pub(super) const SEGMENTS_KEY: &str = "segments";
pub(super) const PINS_KEY: &str = "pins";

/// What of a segment goes to one of the two tables.
pub(super) trait SegmentRows: Sized + Send + Sync {
    const TABLE: LakeTable;
    /// The rows of segments as data files, one a bucket.
    fn encode(profile: &StreamProfile, segments: &[Segment<Self>]) -> Result<Vec<EncodedFile>, LakeError>;
}

impl SegmentRows for ReadingColumns {
    const TABLE: LakeTable = LakeTable::Readings;

    fn encode(profile: &StreamProfile, segments: &[Segment<Self>]) -> Result<Vec<EncodedFile>, LakeError> {
        encode_segments(profile, segments)
    }
}

impl SegmentRows for Vec<DeadLetter> {
    const TABLE: LakeTable = LakeTable::DeadLetters;

    fn encode(profile: &StreamProfile, segments: &[Segment<Self>]) -> Result<Vec<EncodedFile>, LakeError> {
        encode_rows(profile, segments.iter().flat_map(|segment| &segment.rows))
    }
}

impl DeltaLake {
    pub(super) async fn append<R: SegmentRows>(
        &self,
        profile: &StreamProfile,
        base: &LakeSnapshot,
        segments: &[Segment<R>],
    ) -> Result<CommitOutcome, LakeError> {
        let stream = &profile.name;
        let log = self.table(stream, R::TABLE);
        let moved = advance(stream, base, segments)?;
        let stands = |state: Option<&TableState>| {
            let now = state.map(|state| state.closed(stream)).unwrap_or_default();
            still_where_base_has_them(&moved, base, &now)
        };
        // Encoding takes long; who has already lost need not begin.
        if !stands(log.newest().await?.as_deref()) {
            return Ok(CommitOutcome::Conflict);
        }
        let facts = facts_of(segments)?;
        let encoded = aside(|| R::encode(profile, segments))?;
        let files = self.put_files(profile, R::TABLE, encoded).await?;
        self.check_drafted(profile, R::TABLE, &files).await?;
        let columns = declared_schema(profile, R::TABLE);
        let now = self.now();
        let outcome = log
            .commit(now, |state| {
                if !stands(state) {
                    return Ok(None);
                }
                let mut lines = table_lines(state, &columns, now.timestamp_millis())?;
                lines.extend(moved.iter().map(|(partition, closed)| {
                    let app_id = format!("{stream}/{}", String::from(partition.clone()));
                    LogLine::of_txn(app_id, closed.as_i64(), now.timestamp_millis())
                }));
                lines.extend(files.iter().map(WrittenFile::line));
                Ok(Some(Draft { operation: "STREAMING UPDATE", facts: facts.clone(), lines }))
            })
            .await?;
        if outcome == CommitOutcome::Conflict {
            self.discard(profile, R::TABLE, &files).await;
        }
        Ok(outcome)
    }

    /// Stores data files of a table, all or none; nobody sees them before a commit names them.
    ///
    /// # Errors
    /// The store's. What it may have taken all the same stays behind, for a vacuum.
    pub async fn put_files(
        &self,
        profile: &StreamProfile,
        table: LakeTable,
        files: Vec<EncodedFile>,
    ) -> Result<Vec<WrittenFile>, LakeError> {
        let puts = stream::iter(files).map(|file| self.put_file(profile, table, file)).buffered(UPLOADS);
        let (mut written, mut failure) = (Vec::new(), None);
        for put in puts.collect::<Vec<_>>().await {
            match put {
                Ok(file) => written.push(file),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            None => Ok(written),
            // A close is tried again and again: on a disk that is nearly full, each try would take more of the rest.
            Some(error) => {
                self.discard(profile, table, &written).await;
                Err(error)
            }
        }
    }
}

/// The lines that make a table or give it the columns that it lacks, if any.
pub(super) fn table_lines(
    state: Option<&TableState>,
    columns: &Schema,
    now_millis: i64,
) -> Result<Vec<LogLine>, LakeError> {
    let metadata = |metadata| LogLine { meta_data: Some(metadata), ..LogLine::default() };
    Ok(match state {
        None => vec![
            LogLine { protocol: Some(PROTOCOL), ..LogLine::default() },
            metadata(Metadata::of_new_table(columns, now_millis)?),
        ],
        Some(state) => state.metadata()?.widened(columns)?.map(metadata).into_iter().collect(),
    })
}

/// Work that keeps a core busy, without keeping the runtime's other tasks from theirs where it has several threads.
pub(super) fn aside<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Rows as data files, one a bucket.
pub(super) fn encode_rows<'a, T: LakeRow + 'a>(
    profile: &StreamProfile,
    rows: impl Iterator<Item = &'a T>,
) -> Result<Vec<EncodedFile>, LakeError> {
    let mut buckets: BTreeMap<NaiveDate, Vec<&T>> = BTreeMap::new();
    for row in rows {
        buckets.entry(row.bucket(profile)).or_default().push(row);
    }
    let columns = file_schema(profile, T::TABLE);
    buckets
        .into_iter()
        .map(|(bucket, mut rows)| {
            rows.sort_by(|a, b| a.in_file(b));
            encode_file(&columns, bucket, &[T::batch(profile, &rows)?])
        })
        .collect()
}

fn facts_of<T>(segments: &[Segment<T>]) -> Result<Map<String, Value>, LakeError> {
    let json = |error: serde_json::Error| LakeError::Corrupt { reason: format!("pins as JSON: {error}") };
    let mut pins_by_id: BTreeMap<String, &Pins> = BTreeMap::new();
    let mut told = Vec::with_capacity(segments.len());
    for segment in segments {
        let mut cuts = Vec::with_capacity(segment.cuts.len());
        for cut in &segment.cuts {
            let pins = cut.pins.id().map_err(json)?.as_str().to_owned();
            pins_by_id.insert(pins.clone(), &cut.pins);
            cuts.push(CutFacts { offset: cut.offset, pins });
        }
        told.push(SegmentFacts {
            partition: SourcePartition::from(&segment.partition),
            from: segment.span.from,
            to: segment.span.to,
            cuts,
        });
    }
    let mut facts = Map::new();
    facts.insert(SEGMENTS_KEY.to_owned(), serde_json::to_value(told).map_err(json)?);
    facts.insert(PINS_KEY.to_owned(), serde_json::to_value(pins_by_id).map_err(json)?);
    Ok(facts)
}
