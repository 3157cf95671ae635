//! What the lake has of the very file that comes again: rows by `own_rows.sql`, bad lines by `own_dead_letters.sql`.
//!
//! The bad lines of a file come before its rows, in a commit of their own. An ingest that dies in between leaves them alone,
//! and whoever takes up the file must read it as it was read then: else a line is both, or neither.

use std::collections::HashSet;

use arrow::{
    array::{AsArray, Int64Array, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int64Type},
};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use kilowatch_shared::{
    lake::{
        LakeError, LakeTable,
        delta::TableFiles,
        session::{SessionLimits, SessionTable, lake_session, stream_error},
    },
    position::SourceId,
    stream::StreamProfile,
};

use super::{IngestError, InputFile, ParsedRows};
use crate::{BatchDeps, BatchError};

/// The numbers of the file's lines that are dead letters.
pub(super) async fn own_bad_lines(
    deps: &BatchDeps,
    profile: &StreamProfile,
    source: &SourceId,
) -> Result<HashSet<i64>, BatchError> {
    let mut bad = HashSet::new();
    let Some(letters) = deps.lake.newest_table(&profile.name, LakeTable::DeadLetters).await? else { return Ok(bad) };
    let query = include_str!("own_dead_letters.sql");
    let mut rows = rows_of_file(deps, ("dead_letters", &letters), query, source).await?;
    while let Some(batch) = rows.try_next().await.map_err(|error| stream_error(&error))? {
        bad.extend(offsets_of(&batch)?.values());
    }
    Ok(bad)
}

/// What a query gives of the rows of one file.
pub(super) async fn rows_of_file(
    deps: &BatchDeps,
    (name, table): (&str, &TableFiles),
    query: &str,
    source: &SourceId,
) -> Result<SendableRecordBatchStream, BatchError> {
    let holders = table.only(|file| file.stats.may_hold_source(source));
    let limits = SessionLimits { target_partitions: 1, ..SessionLimits::default() };
    let session = lake_session(deps.lake.store(), &[SessionTable { name, files: &holders }], &limits)?;
    Ok(session.stream(&query.replace("{source}", source.as_str())).await?)
}

/// The numbers of the lines that such rows were.
pub(super) fn offsets_of(batch: &RecordBatch) -> Result<Int64Array, BatchError> {
    let offsets = batch.column_by_name("source_offset").map(|column| cast(column, &DataType::Int64));
    let offsets = offsets.and_then(Result::ok);
    let offsets = offsets.ok_or_else(|| LakeError::Corrupt { reason: "rows without offsets".to_owned() })?;
    Ok(offsets.as_primitive::<Int64Type>().clone())
}

/// An ingest of the file that ended after its bad lines were dead letters, and before its rows were in.
#[derive(Debug)]
pub(crate) struct BrokenOff {
    bad: HashSet<i64>,
}

impl BrokenOff {
    /// Reads what it left; `None` once that is gone by its age.
    pub(crate) async fn read(
        deps: &BatchDeps,
        profile: &StreamProfile,
        source: &SourceId,
    ) -> Result<Option<Self>, BatchError> {
        let bad = own_bad_lines(deps, profile, source).await?;
        Ok((!bad.is_empty()).then_some(Self { bad }))
    }

    /// The same lines must be bad.
    pub(crate) fn check(&self, file: &InputFile, rows: &ParsedRows) -> Result<(), IngestError> {
        let good = rows.numbers.iter().copied().find(|number| self.bad.contains(number));
        let mut bad = rows.bad.iter().map(|row| row.number.cast_signed());
        let other = good.or_else(|| bad.find(|number| !self.bad.contains(number)));
        other.map_or(Ok(()), |number| {
            Err(IngestError::BrokenOffOtherwise { path: file.path.clone(), line: number.cast_unsigned() })
        })
    }
}
