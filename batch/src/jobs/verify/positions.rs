//! Every position stands once, and below L (I1).

use arrow::{
    array::AsArray,
    compute::cast,
    datatypes::{DataType, Int32Type, Int64Type},
};
use kilowatch_shared::{
    checkpoint::SourcePartition,
    lake::{
        LakeError,
        delta::TableFiles,
        session::{SessionLimits, SessionTable, lake_session},
    },
    position::SourceId,
};

use super::VerifyReport;
use crate::{BatchDeps, BatchError};

/// Counts positions that stand more than once, and partitions that hold one at or above their L.
pub(super) async fn compare(deps: &BatchDeps, table: &TableFiles, report: &mut VerifyReport) -> Result<(), BatchError> {
    if table.files.is_empty() {
        return Ok(());
    }
    let readings = SessionTable { name: "readings", files: table };
    let session = lake_session(deps.lake.store(), &[readings], &SessionLimits::default())?;
    for batch in session.collect(include_str!("positions.sql")).await? {
        let column = |index: usize, kind: &DataType| cast(batch.column(index), kind).map_err(|error| corrupt(&error));
        let sources = column(0, &DataType::Utf8)?;
        let partitions = column(1, &DataType::Int32)?;
        let numbers = (column(2, &DataType::Int64)?, column(3, &DataType::Int64)?, column(4, &DataType::Int64)?);
        for row in 0..batch.num_rows() {
            let source = SourceId::parse(sources.as_string::<i32>().value(row)).map_err(|error| corrupt(&error))?;
            let partition = partitions.as_primitive::<Int32Type>().value(row).cast_unsigned();
            let number = |column: &arrow::array::ArrayRef| column.as_primitive::<Int64Type>().value(row);
            let (rows, positions, last) = (number(&numbers.0), number(&numbers.1), number(&numbers.2));
            report.positions.checked += rows.cast_unsigned();
            if rows != positions {
                report.positions.differing += (rows - positions).cast_unsigned();
                report.describe(|| format!("{source}/{partition}: {rows} rows at {positions} positions"));
            }
            let closed = table.closed.get(&SourcePartition { source: source.clone(), partition });
            if source.is_log() && closed.is_none_or(|closed| last >= closed.as_i64()) {
                report.positions.differing += 1;
                let closed = closed.map_or_else(|| "nothing".to_owned(), ToString::to_string);
                report.describe(|| format!("{source}/{partition}: holds offset {last}, but L is {closed}"));
            }
        }
    }
    Ok(())
}

fn corrupt(reason: &dyn std::fmt::Display) -> BatchError {
    LakeError::Corrupt { reason: format!("positions: {reason}") }.into()
}
