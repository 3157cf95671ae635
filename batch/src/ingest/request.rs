//! What to ingest, and how its columns are called.

use std::{path::PathBuf, str::FromStr};

use chrono::FixedOffset;
use kilowatch_shared::position::DeviceId;
use serde::{Deserialize, Serialize};

/// How a file is laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputFormat {
    /// Told by the first bytes and the header.
    #[default]
    Auto,
    /// `Date;Time;Global_active_power;...` as the UCI repository has it.
    Uci,
    /// Text with a header and a separator.
    Csv,
    /// Parquet.
    Parquet,
}

impl FromStr for InputFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "uci" => Ok(Self::Uci),
            "csv" => Ok(Self::Csv),
            "parquet" => Ok(Self::Parquet),
            _ => Err(format!("`{text}`: auto, uci, csv or parquet")),
        }
    }
}

/// What becomes of a row that contradicts one of the lake: same device and time, other values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// The lake's row counts, the file's is left out.
    #[default]
    Keep,
    /// The file's row counts, the lake's stays with the mark `superseded`.
    Replace,
}

impl FromStr for OnConflict {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "keep" => Ok(Self::Keep),
            "replace" => Ok(Self::Replace),
            _ => Err(format!("`{text}`: keep or replace")),
        }
    }
}

/// A measure or tag of the profile, and the column of the file that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnChoice {
    /// The measure or tag.
    pub name: String,
    /// The header of its column.
    pub header: String,
}

impl ColumnChoice {
    /// Parses what `--columns` takes: `name=Header,...`.
    ///
    /// # Errors
    /// Which part is not of that form.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        text.split(',').map(str::parse).collect()
    }
}

impl FromStr for ColumnChoice {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, header)) if !name.trim().is_empty() && !header.trim().is_empty() => {
                Ok(Self { name: name.trim().to_owned(), header: header.trim().to_owned() })
            }
            _ => Err(format!("`{text}`: write name=Header, as in active_power=Power")),
        }
    }
}

/// One file to ingest.
#[derive(Debug, Clone, PartialEq)]
pub struct IngestRequest {
    /// The file, plain or gzip, as people call it.
    pub path: PathBuf,
    /// Where its bytes are.
    pub at: PathBuf,
    /// Its layout.
    pub format: InputFormat,
    /// Columns whose header is not the name of the measure or tag.
    pub columns: Vec<ColumnChoice>,
    /// The column that holds the event time; else the profile's time field.
    pub time_column: Option<String>,
    /// The column that holds the device; else the profile's key field, if the file has it.
    pub device_column: Option<String>,
    /// The device of a file without such a column.
    pub device: DeviceId,
    /// What separates fields; else the most frequent of `;`, `,`, tab and `|` in the header.
    pub separator: Option<u8>,
    /// The zone of times that name none. `None` is +01:00 for UCI files (their own zone) and UTC for all others.
    pub utc_offset: Option<FixedOffset>,
    /// Whether its rows take the place of rows that they contradict.
    pub on_conflict: OnConflict,
    /// Whether a file that the lake knows is left alone, also where rows of it could take the place of others: a job that comes
    /// again and again would let the first file of two count again.
    pub only_new: bool,
    /// Where to write the hourly statistics of the file as JSON.
    pub stats: Option<PathBuf>,
}

impl IngestRequest {
    /// The device of files that name none.
    pub const DEFAULT_DEVICE: &'static str = "meter-0001";

    /// A file that speaks for itself, of one device.
    #[must_use]
    pub fn new(path: PathBuf, device: DeviceId) -> Self {
        Self {
            at: path.clone(),
            path,
            format: InputFormat::Auto,
            columns: Vec::new(),
            time_column: None,
            device_column: None,
            device,
            separator: None,
            utc_offset: None,
            on_conflict: OnConflict::Keep,
            only_new: false,
            stats: None,
        }
    }
}
