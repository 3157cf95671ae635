//! A history file becomes typed columns, one step a file:
//! what people name -`inputs`-> path -`open`-> bytes -`blocks`-> blocks of whole lines -`text`-> `ParsedRows` -`keys`-> the rows that are new
//! -`buckets`-> Parquet files, one time bucket each. `replacing` says which of the lake's rows stop to count, `conflicts` what
//! contradicts what. Parquet input skips the lines (`parquet_input`). `feed` runs
//! the first steps on other threads, `tally` counts what became of every row, `stats` is the file for people.
//!
//! A row's number is its offset in the lake: for text the 1-based number of its line (the header is line 1, so
//! `sed -n 17p` shows row 17), for Parquet the 1-based number of its row. [`crate::jobs::ingest`] drives the steps.

mod blocks;
mod buckets;
mod columns;
mod conflicts;
mod error;
mod feed;
mod inputs;
mod keys;
mod lake_keys;
mod layout;
mod number;
mod open;
mod own_lines;
mod parquet_input;
mod progress;
mod replacing;
mod report;
mod request;
mod rows;
mod stats;
mod tally;
mod text;
mod time;

pub use conflicts::{Cell, ConflictingRow, Contradiction};
pub use error::IngestError;
pub use inputs::{IngestConfig, Input, Inputs, OwnPlaces, SeenFiles, Spool};
pub use progress::{NoProgress, Progress};
pub use report::{BadLine, FileOutcome, IngestReport, RepeatedRow};
pub use request::{ColumnChoice, IngestRequest, InputFormat, OnConflict};

pub(crate) use blocks::{Block, BlockReader};
pub(crate) use buckets::{BucketBuffer, BucketRows};
pub(crate) use columns::UCI_MEASURES;
pub(crate) use conflicts::{Conflict, told};
pub(crate) use feed::Feed;
pub(crate) use keys::{DeviceNumbers, KeySet, find_repeats};
pub(crate) use lake_keys::LakeKeys;
pub(crate) use open::InputFile;
pub(crate) use own_lines::BrokenOff;
pub(crate) use replacing::Replacing;
pub(crate) use rows::{BadRow, ParsedRows};
pub(crate) use stats::{HourlyStats, check_target};
pub(crate) use tally::Tally;
