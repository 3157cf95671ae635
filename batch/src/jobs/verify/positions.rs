//! Every position stands once, and below L: as a reading or as a dead letter, never as both (I1).

use std::collections::BTreeMap;

use arrow::{
    array::{AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int32Type, Int64Type},
};
use kilowatch_shared::{
    checkpoint::SourcePartition,
    lake::{
        LakeError,
        delta::{LakeFile, TableFiles},
        session::{LakeSession, SessionLimits, SessionTable, lake_session},
    },
    position::SourceId,
};

use super::VerifyReport;
use crate::{BatchDeps, BatchError};

/// Offsets that are told apart at once: some 100 MB of the engine's memory.
const OFFSETS_AT_ONCE: i64 = 2_000_000;

/// What a partition of a source holds, in both tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::jobs) struct Extent {
    least: i64,
    /// The last offset.
    pub greatest: i64,
    rows: i64,
}

/// Counts positions that stand more than once, and partitions that hold one at or above their L.
pub(super) async fn compare(
    deps: &BatchDeps,
    readings: &TableFiles,
    dead_letters: Option<&TableFiles>,
    report: &mut VerifyReport,
) -> Result<(), BatchError> {
    let mut extents: BTreeMap<SourcePartition, Extent> = BTreeMap::new();
    for table in std::iter::once(readings).chain(dead_letters).filter(|table| !table.files.is_empty()) {
        for (partition, extent) in extents_of(deps, table).await? {
            check_below_l(table, &partition, extent.greatest, report);
            let whole = extents.entry(partition).or_insert(Extent { rows: 0, ..extent });
            whole.least = whole.least.min(extent.least);
            whole.greatest = whole.greatest.max(extent.greatest);
            whole.rows += extent.rows;
        }
    }
    report.positions.checked += extents.values().map(|extent| extent.rows.cast_unsigned()).sum::<u64>();
    // A stream without dead letters has none of them to compare with.
    let no_letters = readings.only(|_| false);
    for (from, to) in spans(&extents.values().copied().collect::<Vec<_>>()) {
        let held =
            |file: &LakeFile| file.stats.source_offset.is_none_or(|(least, greatest)| least < to && greatest >= from);
        let tables = [readings.only(held), dead_letters.unwrap_or(&no_letters).only(held)];
        if tables.iter().any(|table| !table.files.is_empty()) {
            count_repeats(deps, &tables, (from, to), report).await?;
        }
    }
    Ok(())
}

/// What a table holds of each partition of a source.
pub(in crate::jobs) async fn extents_of(
    deps: &BatchDeps,
    table: &TableFiles,
) -> Result<Vec<(SourcePartition, Extent)>, BatchError> {
    let session = session_over(deps, &[("positions", table)])?;
    let mut extents = Vec::new();
    for batch in session.collect(include_str!("extents.sql")).await? {
        let rows = Counts::of(&batch)?;
        for row in 0..batch.num_rows() {
            let [rows_held, least, greatest] = rows.numbers(row);
            extents.push((rows.partition(row)?, Extent { least, greatest, rows: rows_held }));
        }
    }
    Ok(extents)
}

fn check_below_l(table: &TableFiles, partition: &SourcePartition, last: i64, report: &mut VerifyReport) {
    let closed = table.closed.get(partition);
    if partition.source.is_log() && closed.is_none_or(|closed| last >= closed.as_i64()) {
        report.positions.differing += 1;
        let closed = closed.map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let SourcePartition { source, partition } = partition;
        report.describe(|| format!("{source}/{partition}: {} holds offset {last}, but L is {closed}", table.folder));
    }
}

/// Spans of offsets that together hold all of them, each with at most about [`OFFSETS_AT_ONCE`] rows.
fn spans(extents: &[Extent]) -> Vec<(i64, i64)> {
    let Some(mut from) = extents.iter().map(|extent| extent.least).min() else { return Vec::new() };
    let end = extents.iter().map(|extent| extent.greatest).max().unwrap_or(from).saturating_add(1);
    if extents.iter().map(|extent| extent.rows).sum::<i64>() <= OFFSETS_AT_ONCE {
        return vec![(from, end)];
    }
    let mut spans = Vec::new();
    while from < end {
        let widest = from.saturating_add(OFFSETS_AT_ONCE);
        let beside = extents.iter().filter(|extent| extent.least < widest && extent.greatest >= from).count();
        let to = from.saturating_add((OFFSETS_AT_ONCE / i64::try_from(beside.max(1)).unwrap_or(1)).max(1)).min(end);
        spans.push((from, to));
        let next = extents.iter().filter(|extent| extent.greatest >= to).map(|extent| extent.least.max(to)).min();
        from = next.unwrap_or(end);
    }
    spans
}

async fn count_repeats(
    deps: &BatchDeps,
    [readings, dead_letters]: &[TableFiles; 2],
    (from, to): (i64, i64),
    report: &mut VerifyReport,
) -> Result<(), BatchError> {
    let session = session_over(deps, &[("readings", readings), ("dead_letters", dead_letters)])?;
    let query = include_str!("positions.sql").replace("{from}", &from.to_string()).replace("{to}", &to.to_string());
    for batch in session.collect(&query).await? {
        let counts = Counts::of(&batch)?;
        for row in 0..batch.num_rows() {
            let [rows, positions, _] = counts.numbers(row);
            report.positions.differing += (rows - positions).cast_unsigned();
            let SourcePartition { source, partition } = counts.partition(row)?;
            report.describe(|| {
                format!("{source}/{partition}: {rows} rows at {positions} positions of the offsets {from} to {to}")
            });
        }
    }
    Ok(())
}

fn session_over(deps: &BatchDeps, tables: &[(&str, &TableFiles)]) -> Result<LakeSession, LakeError> {
    let tables: Vec<SessionTable<'_>> = tables.iter().map(|(name, files)| SessionTable { name, files }).collect();
    lake_session(deps.lake.store(), &tables, &SessionLimits::default())
}

/// A partition of a source and three numbers, row by row.
struct Counts {
    sources: arrow::array::ArrayRef,
    partitions: arrow::array::ArrayRef,
    numbers: [arrow::array::ArrayRef; 3],
}

impl Counts {
    fn of(batch: &RecordBatch) -> Result<Self, BatchError> {
        let column = |index: usize, kind: &DataType| cast(batch.column(index), kind).map_err(|error| corrupt(&error));
        Ok(Self {
            sources: column(0, &DataType::Utf8)?,
            partitions: column(1, &DataType::Int32)?,
            numbers: [column(2, &DataType::Int64)?, column(3, &DataType::Int64)?, column(4, &DataType::Int64)?],
        })
    }

    fn partition(&self, row: usize) -> Result<SourcePartition, BatchError> {
        let source = SourceId::parse(self.sources.as_string::<i32>().value(row)).map_err(|error| corrupt(&error))?;
        let partition = self.partitions.as_primitive::<Int32Type>().value(row).cast_unsigned();
        Ok(SourcePartition { source, partition })
    }

    fn numbers(&self, row: usize) -> [i64; 3] {
        self.numbers.each_ref().map(|column| column.as_primitive::<Int64Type>().value(row))
    }
}

fn corrupt(reason: &dyn std::fmt::Display) -> BatchError {
    LakeError::Corrupt { reason: format!("positions: {reason}") }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_hold_every_offset_once_and_never_too_many_rows() {
        let dense = |least: i64, rows: i64| Extent { least, greatest: least + rows - 1, rows };
        for extents in [
            vec![],
            vec![dense(7, 3)],
            vec![dense(0, 9_000_000)],
            vec![dense(1_000_000_000, 5_000_000), dense(3, 10)],
            (0..40).map(|number| dense(number * 1000, 1_000_000)).collect(),
            vec![dense(0, 1); 10_000].into_iter().chain([dense(0, 3_000_000)]).collect(),
        ] {
            let spans = spans(&extents);
            assert!(spans.is_sorted_by(|a, b| a.1 <= b.0), "{spans:?}");
            let held =
                |extent: &Extent, (from, to): (i64, i64)| (to.min(extent.greatest + 1) - from.max(extent.least)).max(0);
            for extent in &extents {
                assert_eq!(spans.iter().map(|span| held(extent, *span)).sum::<i64>(), extent.rows, "{extent:?}");
            }
            for span in spans {
                let rows: i64 = extents.iter().map(|extent| held(extent, span)).sum();
                assert!(rows <= OFFSETS_AT_ONCE, "{rows} rows in {span:?}");
            }
        }
    }
}
