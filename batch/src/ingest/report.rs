//! What an ingest did, row by row accounted for.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ConflictingRow;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileOutcome {
    /// Its new rows are in the lake.
    Ingested,
    /// A file of these very bytes is in the lake; nothing changed.
    AlreadyIngested,
}

/// A line that became no reading. The line itself is in the dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadLine {
    /// Its number (for Parquet the row's), from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// A row whose device and time were there before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatedRow {
    /// Its number, from 1.
    pub line: u64,
    /// The device.
    pub device: String,
    /// The event time.
    pub event_time: DateTime<Utc>,
    /// Whether the row that counts came earlier in the same file, and not from the lake.
    pub within_file: bool,
}

/// What one file came to. `read_rows` is the sum of rows, replaced, identical, conflicting and too old ones, and of bad lines, known
/// ones included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IngestReport {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its bytes as they are stored; the source of its rows is `file:<sha256>`.
    pub sha256: String,
    /// How it ended.
    pub outcome: FileOutcome,
    /// Rows that the file holds; 0 if it was known and not read again.
    pub read_rows: u64,
    /// Rows that are new in the lake.
    pub rows: u64,
    /// Those of them in which at least one measure is missing.
    pub missing_rows: u64,
    /// Rows that say what an earlier row with their device and time says; skipped.
    pub identical_rows: u64,
    /// Rows that contradict an earlier row with their device and time; skipped, the earlier one counts.
    pub conflicting_rows: u64,
    /// Rows that contradict a row of the lake with their device and time, and count in its place.
    pub replaced_rows: u64,
    /// Rows that are older than the age limit of readings; skipped, for no window would count them.
    pub too_old_rows: u64,
    /// Lines that became no reading; they are in the dead letters.
    pub bad_lines: u64,
    /// Lines that became no reading when the lake took the file before; their dead letters are there already.
    pub known_bad_lines: u64,
    /// The first identical rows.
    pub identical_examples: Vec<RepeatedRow>,
    /// The first rows that contradict an earlier one, skipped or not, with both values.
    pub conflicting_examples: Vec<ConflictingRow>,
    /// The first bad lines.
    pub bad_line_examples: Vec<BadLine>,
    /// The first and the last event time of the new rows.
    pub time_range: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Parquet files written.
    pub files: u64,
    /// Their size in bytes.
    pub file_bytes: u64,
    /// Version of the `readings` table that holds the file; `None` while it holds no row at all.
    pub lake_version: Option<i64>,
    /// How long it took in seconds.
    pub seconds: f64,
}

impl IngestReport {
    /// How many examples of each kind are kept: what fits a screen.
    pub const EXAMPLES: usize = 20;

    /// One sentence for the job history and the terminal.
    #[must_use]
    pub fn summary(&self) -> String {
        if self.outcome == FileOutcome::AlreadyIngested {
            return "already ingested: the lake holds a file of these very bytes; nothing changed".to_owned();
        }
        let mut text = format!("{} rows ingested, {} of them with missing measures", self.rows, self.missing_rows);
        for (count, what) in [
            (self.replaced_rows, "rows in the place of conflicting ones"),
            (self.identical_rows, "identical rows skipped"),
            (self.conflicting_rows, "conflicting rows skipped"),
            (self.too_old_rows, "rows older than the age limit of readings skipped"),
            (self.bad_lines, "bad lines to the dead letters"),
            (self.known_bad_lines, "bad lines in the dead letters already"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        text
    }

    /// The summary, then a line for each example: what was wrong where, for the person who can mend the file.
    #[must_use]
    pub fn details(&self) -> String {
        let mut text = self.summary();
        for BadLine { line, reason } in &self.bad_line_examples {
            text.push_str(&format!("\n  line {line}: {reason}"));
        }
        text.extend(self.conflicting_examples.iter().map(|row| format!("\n  {row}")));
        let shown = self.bad_line_examples.len() + self.conflicting_examples.len();
        let more = (self.bad_lines + self.conflicting_rows + self.replaced_rows).saturating_sub(shown as u64);
        if more > 0 {
            text.push_str(&format!("\n  and {more} more"));
        }
        text
    }
}
