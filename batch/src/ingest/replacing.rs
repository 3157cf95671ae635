//! Rows of a file that count in the place of rows which contradict them (`--on-conflict replace`).

use std::collections::HashSet;

use arrow::{
    array::{AsArray, RecordBatch},
    compute::cast,
    datatypes::DataType,
};
use futures::TryStreamExt;
use kilowatch_shared::{
    lake::{LakeError, LakeTable, delta::TableFiles, schema::ERASED_DEVICE, session::stream_error},
    position::{DeviceId, SourceId},
    stream::StreamProfile,
};

use super::{
    DeviceNumbers, IngestError, InputFile, KeySet, ParsedRows,
    keys::{Fate, Repeat},
    lake_keys::each_row,
    own_lines::{offsets_of, own_bad_lines, rows_of_file},
    rows::row_print,
};
use crate::{
    BatchDeps, BatchError,
    marking::{MarkedRows, Remarked, remark},
    rewriting::Rewriting,
    sql,
};

/// All rows of a file have one source and partition: their numbers tell them apart.
const OF_FILE: u32 = 0;

/// The keys whose row in the lake stops to count.
#[derive(Debug, Default)]
pub(crate) struct Replacing {
    /// Such a key, with the number of the file's row that counts from now on.
    keys: KeySet,
    /// The rows of this very file that the lake has already, by number, with what they say.
    own: KeySet,
    /// The numbers of its lines that are dead letters.
    bad: HashSet<i64>,
}

impl Replacing {
    /// Nothing is replaced yet. The lake may have rows of the file already if it knows the file: those stay where they are,
    /// because a position stands once.
    pub(crate) async fn of_known(
        deps: &BatchDeps,
        profile: &StreamProfile,
        table: Option<&TableFiles>,
        source: &SourceId,
        numbers: &mut DeviceNumbers,
    ) -> Result<Self, BatchError> {
        let mut replacing = Self::default();
        let Some(table) = table else { return Ok(replacing) };
        let query = sql::for_profile(include_str!("own_rows.sql"), profile, 0);
        let mut rows = rows_of_file(deps, ("readings", &table.with_columns_of(profile)), &query, source).await?;
        while let Some(batch) = rows.try_next().await.map_err(|error| stream_error(&error))? {
            let offsets = offsets_of(&batch)?;
            refuse_erased(&batch, source)?;
            each_row(&batch, profile, numbers, |row, device, time, print| {
                replacing.own.insert(OF_FILE, offsets.value(row), row_print(device, time, print));
            })?;
        }
        replacing.bad = own_bad_lines(deps, profile, source).await?;
        Ok(replacing)
    }

    /// Decides which of the repeats take the place of the lake's row: those that contradict it, the first ones of the file.
    pub(crate) fn decide(
        &mut self,
        file: &InputFile,
        rows: &ParsedRows,
        repeats: &mut [Repeat],
        numbers: &mut DeviceNumbers,
    ) -> Result<(), IngestError> {
        self.check_lines(file, rows)?;
        self.check_new_rows(file, rows, repeats)?;
        for repeat in repeats.iter_mut().filter(|repeat| !repeat.identical && !repeat.within_file) {
            let (number, time) = (rows.numbers[repeat.index], rows.times[repeat.index]);
            let Some(name) = rows.device_names.get(rows.devices[repeat.index] as usize) else { continue };
            let device = numbers.of(name);
            repeat.fate = match self.own.find(OF_FILE, number) {
                None => Fate::Replaces,
                Some(print) if print == row_print(device, time, rows.prints[repeat.index]) => Fate::CountsAgain,
                Some(_) => return Err(read_otherwise(file, number)),
            };
            self.keys.insert(device, time, number.cast_unsigned());
        }
        Ok(())
    }

    /// A line that is a row now and a dead letter of the lake, or the other way round, was read otherwise before.
    fn check_lines(&self, file: &InputFile, rows: &ParsedRows) -> Result<(), IngestError> {
        let good = rows.numbers.iter().copied().find(|number| self.bad.contains(number));
        let mut bad = rows.bad.iter().map(|row| row.number.cast_signed());
        let other = good.or_else(|| bad.find(|number| self.own.find(OF_FILE, *number).is_some()));
        other.map_or(Ok(()), |number| Err(read_otherwise(file, number)))
    }

    /// A row that the lake has under this number, and does not find by its device and time, was read otherwise before.
    fn check_new_rows(&self, file: &InputFile, rows: &ParsedRows, repeats: &[Repeat]) -> Result<(), IngestError> {
        if self.own.len() == 0 {
            return Ok(());
        }
        let mut known = repeats.iter().map(|repeat| repeat.index).peekable();
        let is_new = |index: &usize| known.next_if_eq(index).is_none();
        let mut numbers = (0..rows.len()).filter(is_new).map(|index| rows.numbers[index]);
        let taken = numbers.find(|number| self.own.find(OF_FILE, *number).is_some());
        taken.map_or(Ok(()), |number| Err(read_otherwise(file, number)))
    }

    /// Keys in memory.
    pub(crate) fn len(&self) -> usize {
        self.keys.len() + self.own.len() + self.bad.len()
    }

    /// Marks the lake's rows in copies of their data files, which no commit names yet.
    pub(crate) async fn remark(
        &self,
        deps: &BatchDeps,
        profile: &StreamProfile,
        (files, source): (&TableFiles, &SourceId),
        numbers: &DeviceNumbers,
    ) -> Result<Remarked, BatchError> {
        if self.keys.len() == 0 {
            return Ok(Remarked::default());
        }
        let counts_now = |rows: &MarkedRows, row: usize| {
            let device = numbers.find(&DeviceId::parse(rows.device(row)).ok()?)?;
            self.keys.find(device, rows.time(row))
        };
        let mark = |rows: &MarkedRows, row: usize| match counts_now(rows, row) {
            Some(number) if !rows.is_duplicate(row) => {
                let (of, _, offset) = rows.position(row);
                of != source.as_str() || offset.cast_unsigned() != number
            }
            _ => rows.is_superseded(row),
        };
        let rewriting = Rewriting { deps, profile, kind: LakeTable::Readings, job: "ingest" };
        remark(rewriting, files, mark).await
    }
}

fn read_otherwise(file: &InputFile, number: i64) -> IngestError {
    IngestError::ReadOtherwise { path: file.path.clone(), line: number.cast_unsigned() }
}

/// What was erased of this file would come back as new rows.
fn refuse_erased(batch: &RecordBatch, source: &SourceId) -> Result<(), BatchError> {
    let devices = batch.column_by_name("device_id").map(|column| cast(column, &DataType::Utf8)).and_then(Result::ok);
    let erased =
        devices.is_some_and(|devices| devices.as_string::<i32>().iter().flatten().any(|id| id == ERASED_DEVICE));
    if !erased {
        return Ok(());
    }
    let reason = format!(
        "a device was erased whose rows are in this file, which the lake knows as {source}: ingest a copy without them"
    );
    Err(LakeError::Refused { reason }.into())
}
