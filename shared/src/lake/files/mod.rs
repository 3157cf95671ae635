//! Data files: Arrow batches -[`encode_file()`]-> Parquet bytes with their [`FileStats`], one bucket a file.
//!
//! Encoding is pure and runs wherever the caller likes, in parallel; nothing is visible before a commit names the file.

mod encode;
mod segments;
mod stats;

pub use encode::{EncodedFile, FileEncoder, encode_file};
pub use segments::encode_segments;
pub use stats::FileStats;
