//! Counts what becomes of every row of a file, and keeps what the report and the dead letters need of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use kilowatch_shared::{
    dead_letter::DeadLetter,
    position::{DeviceId, Offset, SourceId, SourcePosition},
};

use super::{
    BadLine, BadRow, Conflict, IngestError, IngestReport, InputFile, ParsedRows, RepeatedRow,
    keys::{Fate, Repeat},
};

/// Bytes of bad lines that are kept for the dead letters: a million lines. A history with more of them is not the file
/// that somebody meant to ingest.
const MAX_BAD_BYTES: usize = 64 << 20;

/// What became of the rows so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Whether the lake knows the file, whose bad lines are dead letters already then.
    known: bool,
    /// Rows that the file holds.
    pub read_rows: u64,
    /// Rows that are new.
    pub rows: u64,
    /// Rows that say what an earlier one says.
    pub identical_rows: u64,
    /// Rows that contradict an earlier one and are left out.
    pub conflicting_rows: u64,
    /// Rows that count in the place of an earlier one, which they contradict.
    pub replaced_rows: u64,
    /// Rows that are older than the age limit of readings, and left out.
    pub too_old_rows: u64,
    /// The first rows that contradict an earlier one.
    pub conflicts: Vec<Conflict>,
    identical_examples: Vec<RepeatedRow>,
    bad: Vec<BadRow>,
    bad_bytes: usize,
    times: Option<(i64, i64)>,
}

impl Tally {
    /// Nothing so far.
    pub(crate) fn new(known: bool) -> Self {
        Self { known, ..Self::default() }
    }

    /// Adds parsed rows, of which `repeats` do not all count.
    pub(crate) fn add(
        &mut self,
        file: &InputFile,
        rows: &mut ParsedRows,
        repeats: &[Repeat],
    ) -> Result<(), IngestError> {
        self.read_rows += (rows.len() + rows.bad.len()) as u64;
        self.rows += (rows.len() - repeats.len()) as u64;
        for repeat in repeats {
            let count = match (repeat.identical, repeat.fate) {
                (true, _) => &mut self.identical_rows,
                (false, Fate::Skipped) => &mut self.conflicting_rows,
                (false, Fate::Replaces | Fate::CountsAgain) => &mut self.replaced_rows,
            };
            *count += 1;
            if repeat.identical && self.identical_examples.len() < IngestReport::EXAMPLES {
                self.identical_examples.extend(repeated_row(rows, repeat));
            }
            if self.conflicts.len() < IngestReport::EXAMPLES {
                self.conflicts.extend(Conflict::of(rows, repeat));
            }
        }
        self.widen(rows, repeats);
        self.bad_bytes += rows.bad.iter().map(|row| row.raw.len() + row.reason.len()).sum::<usize>();
        self.bad.append(&mut rows.bad);
        match self.bad.first() {
            Some(first) if self.bad_bytes > MAX_BAD_BYTES => Err(IngestError::TooManyBadLines {
                path: file.path.clone(),
                bad_lines: self.bad.len() as u64,
                line: first.number,
                reason: first.reason.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Counts rows that are left out because of their age.
    pub(crate) const fn add_too_old(&mut self, rows: u64) {
        self.read_rows += rows;
        self.too_old_rows += rows;
    }

    /// Refuses a file that held nothing: a file that is known cannot be ingested again under other options.
    pub(crate) fn check_readable(&self, file: &InputFile) -> Result<(), IngestError> {
        match self.bad.first() {
            _ if self.read_rows > self.bad_lines() => Ok(()),
            None => Err(IngestError::HeaderOnly { path: file.path.clone() }),
            Some(first) => Err(IngestError::NothingReadable {
                path: file.path.clone(),
                bad_lines: self.bad_lines(),
                line: first.number,
                reason: first.reason.clone(),
            }),
        }
    }

    /// Whether the lake gains anything by it.
    pub(crate) const fn changes_rows(&self) -> bool {
        self.rows + self.replaced_rows > 0
    }

    /// How many lines became no reading.
    fn bad_lines(&self) -> u64 {
        self.bad.len() as u64
    }

    /// Of these, how many are to become dead letters.
    pub(crate) fn new_bad_lines(&self) -> u64 {
        if self.known { 0 } else { self.bad_lines() }
    }

    /// Rows by what became of them, for the commit.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        [
            ("appended", self.rows),
            ("identical", self.identical_rows),
            ("conflicting", self.conflicting_rows),
            ("replaced", self.replaced_rows),
            ("too_old", self.too_old_rows),
            ("dead_letters", self.new_bad_lines()),
        ]
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
    }

    /// The bad lines as dead letters, each under its device if that is known.
    pub(crate) fn dead_letters(&self, source: &SourceId, seen_at: DateTime<Utc>) -> Vec<DeadLetter> {
        self.bad
            .iter()
            .map(|row| DeadLetter {
                position: SourcePosition { source: source.clone(), partition: 0, offset: Offset::new(row.number) },
                key: row.device.as_ref().map(|device| Bytes::copy_from_slice(device.as_str().as_bytes())),
                raw: row.raw.clone(),
                reason: row.reason.clone(),
                seen_at,
            })
            .collect()
    }

    /// Moves what was counted into a report.
    pub(crate) fn fill(self, report: &mut IngestReport) {
        report.bad_lines = self.new_bad_lines();
        report.known_bad_lines = self.bad_lines() - report.bad_lines;
        let examples = self.bad.into_iter().take(if self.known { 0 } else { IngestReport::EXAMPLES });
        report.bad_line_examples = examples.map(|row| BadLine { line: row.number, reason: row.reason }).collect();
        report.read_rows = self.read_rows;
        report.rows = self.rows;
        report.identical_rows = self.identical_rows;
        report.conflicting_rows = self.conflicting_rows;
        report.replaced_rows = self.replaced_rows;
        report.too_old_rows = self.too_old_rows;
        report.identical_examples = self.identical_examples;
        report.time_range = self.times.and_then(|(from, to)| {
            Some((DateTime::from_timestamp_micros(from)?, DateTime::from_timestamp_micros(to)?))
        });
    }

    fn widen(&mut self, rows: &ParsedRows, repeats: &[Repeat]) {
        let skipped = repeats.iter().filter(|repeat| repeat.fate == Fate::Skipped);
        let mut skipped = skipped.map(|repeat| repeat.index).peekable();
        for (index, time) in rows.times.iter().enumerate() {
            if skipped.next_if_eq(&index).is_none() {
                let (from, to) = self.times.unwrap_or((*time, *time));
                self.times = Some((from.min(*time), to.max(*time)));
            }
        }
    }
}

fn repeated_row(rows: &ParsedRows, repeat: &Repeat) -> Option<RepeatedRow> {
    let device = rows.device_names.get(*rows.devices.get(repeat.index)? as usize)?;
    Some(RepeatedRow {
        line: rows.numbers.get(repeat.index)?.cast_unsigned(),
        device: DeviceId::as_str(device).to_owned(),
        event_time: DateTime::from_timestamp_micros(*rows.times.get(repeat.index)?)?,
        within_file: repeat.within_file,
    })
}
