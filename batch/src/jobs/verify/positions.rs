//! Every position stands once, and below L: as a reading or as a dead letter, never as both (I1).

use std::collections::BTreeMap;

use arrow::{
    array::{AsArray, BooleanBufferBuilder, Int32Array, Int64Array, RecordBatch, StringArray},
    compute::cast,
    datatypes::DataType,
};
use futures::TryStreamExt;
use kilowatch_shared::{
    checkpoint::SourcePartition,
    lake::{
        LakeError,
        delta::{LakeFile, TableFiles},
        session::{LakeSession, SessionLimits, SessionTable, lake_session, stream_error},
    },
    position::SourceId,
};

use super::VerifyReport;
use crate::{BatchDeps, BatchError};

/// Offsets that are told apart at once, a bit each: 32 MiB.
const OFFSETS_AT_ONCE: i64 = 256 << 20;

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
        let seen = extents.iter().filter_map(|(partition, extent)| Some((partition, Seen::of(extent, (from, to))?)));
        let held =
            |file: &LakeFile| file.stats.source_offset.is_none_or(|(least, greatest)| least < to && greatest >= from);
        let tables = [readings.only(held), dead_letters.unwrap_or(&no_letters).only(held)];
        if tables.iter().any(|table| !table.files.is_empty()) {
            count_repeats(deps, &tables, (from, to), seen.collect(), report).await?;
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
        let partitions = Positions::of(&batch)?;
        let [rows, least, greatest] = partitions.numbers()?;
        for row in 0..batch.num_rows() {
            let extent = Extent { least: least.value(row), greatest: greatest.value(row), rows: rows.value(row) };
            extents.push((partitions.partition(row)?, extent));
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

/// Spans of offsets that together hold all of them, each with at most about [`OFFSETS_AT_ONCE`] of all partitions.
fn spans(extents: &[Extent]) -> Vec<(i64, i64)> {
    let Some(mut from) = extents.iter().map(|extent| extent.least).min() else { return Vec::new() };
    let end = extents.iter().map(|extent| extent.greatest).max().unwrap_or(from).saturating_add(1);
    let width = |extent: &Extent| extent.greatest.saturating_sub(extent.least).saturating_add(1);
    if extents.iter().map(width).fold(0, i64::saturating_add) <= OFFSETS_AT_ONCE {
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

/// Which offsets of a partition were seen, of those from `least` on.
struct Seen {
    least: i64,
    bits: BooleanBufferBuilder,
    repeats: u64,
}

impl Seen {
    /// Of what a partition holds of a span; `None` if that is nothing.
    fn of(extent: &Extent, (from, to): (i64, i64)) -> Option<Self> {
        let (least, end) = (extent.least.max(from), extent.greatest.saturating_add(1).min(to));
        let width = usize::try_from(end.saturating_sub(least)).ok().filter(|width| *width > 0)?;
        let mut bits = BooleanBufferBuilder::new(width);
        bits.append_n(width, false);
        Some(Self { least, bits, repeats: 0 })
    }

    fn see(&mut self, offset: i64) {
        let Some(index) = usize::try_from(offset - self.least).ok().filter(|index| *index < self.bits.len()) else {
            return;
        };
        self.repeats += u64::from(self.bits.get_bit(index));
        self.bits.set_bit(index, true);
    }
}

async fn count_repeats(
    deps: &BatchDeps,
    [readings, dead_letters]: &[TableFiles; 2],
    (from, to): (i64, i64),
    mut seen: BTreeMap<&SourcePartition, Seen>,
    report: &mut VerifyReport,
) -> Result<(), BatchError> {
    let session = session_over(deps, &[("readings", readings), ("dead_letters", dead_letters)])?;
    let query = include_str!("positions.sql").replace("{from}", &from.to_string()).replace("{to}", &to.to_string());
    let mut batches = session.stream(&query).await?;
    while let Some(batch) = batches.try_next().await.map_err(|error| stream_error(&error))? {
        let rows = Positions::of(&batch)?;
        let [offsets] = rows.numbers()?;
        let mut row = 0;
        while row < batch.num_rows() {
            let partition = rows.partition(row)?;
            let seen = seen.get_mut(&partition).ok_or_else(|| corrupt(&"a row outside of its partition's extent"))?;
            let begin = row;
            while row < batch.num_rows() && rows.are_of_one_partition(begin, row) {
                seen.see(offsets.value(row));
                row += 1;
            }
        }
    }
    for (SourcePartition { source, partition }, Seen { repeats, .. }) in
        seen.into_iter().filter(|(_, seen)| seen.repeats > 0)
    {
        report.positions.differing += repeats;
        report.describe(|| {
            format!("{source}/{partition}: {repeats} rows at positions of other rows, of the offsets {from} to {to}")
        });
    }
    Ok(())
}

fn session_over(deps: &BatchDeps, tables: &[(&str, &TableFiles)]) -> Result<LakeSession, LakeError> {
    let tables: Vec<SessionTable<'_>> = tables.iter().map(|(name, files)| SessionTable { name, files }).collect();
    lake_session(deps.lake.store(), &tables, &SessionLimits::default())
}

/// A partition of a source and numbers, row by row.
struct Positions {
    sources: StringArray,
    partitions: Int32Array,
    numbers: Vec<Int64Array>,
}

impl Positions {
    fn of(batch: &RecordBatch) -> Result<Self, BatchError> {
        let column = |index: usize, kind: &DataType| cast(batch.column(index), kind).map_err(|error| corrupt(&error));
        let numbers = (2..batch.num_columns()).map(|index| Ok(column(index, &DataType::Int64)?.as_primitive().clone()));
        Ok(Self {
            sources: column(0, &DataType::Utf8)?.as_string().clone(),
            partitions: column(1, &DataType::Int32)?.as_primitive().clone(),
            numbers: numbers.collect::<Result<_, BatchError>>()?,
        })
    }

    fn partition(&self, row: usize) -> Result<SourcePartition, BatchError> {
        let source = SourceId::parse(self.sources.value(row)).map_err(|error| corrupt(&error))?;
        let partition = self.partitions.value(row).cast_unsigned();
        Ok(SourcePartition { source, partition })
    }

    fn are_of_one_partition(&self, one: usize, other: usize) -> bool {
        self.sources.value(one) == self.sources.value(other)
            && self.partitions.value(one) == self.partitions.value(other)
    }

    fn numbers<const N: usize>(&self) -> Result<&[Int64Array; N], BatchError> {
        self.numbers.as_slice().try_into().map_err(|error: std::array::TryFromSliceError| corrupt(&error))
    }
}

fn corrupt(reason: &dyn std::fmt::Display) -> BatchError {
    LakeError::Corrupt { reason: format!("positions: {reason}") }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_an_offset_tells_how_many_repeat_and_nothing_else() {
        let extent = Extent { least: 10, greatest: 14, rows: 6 };
        let mut seen = Seen::of(&extent, (0, 13)).unwrap();
        for offset in [10, 12, 12, 12, 11] {
            seen.see(offset);
        }
        assert_eq!(seen.repeats, 2);
        assert!(Seen::of(&extent, (0, 10)).is_none() && Seen::of(&extent, (15, 20)).is_none());
    }

    #[test]
    fn spans_hold_every_offset_once_and_never_too_many() {
        let dense = |least: i64, rows: i64| Extent { least, greatest: least + rows - 1, rows };
        for extents in [
            vec![],
            vec![dense(7, 3)],
            vec![dense(0, 9_000_000_000)],
            vec![dense(1_000_000_000, 500_000_000), dense(3, 10)],
            (0..40).map(|number| dense(number * 1000, 100_000_000)).collect(),
            vec![dense(0, 1); 10_000].into_iter().chain([dense(0, 300_000_000)]).collect(),
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
                assert!(rows <= OFFSETS_AT_ONCE, "{rows} offsets in {span:?}");
            }
        }
    }
}
