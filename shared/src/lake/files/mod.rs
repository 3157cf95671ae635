//! Data files: Arrow batches -[`FileEncoder`]-> Parquet bytes with their [`FileStats`], one bucket a file.
//!
//! Encoding is pure and runs wherever the caller likes, in parallel; nothing is visible before a commit names the file.
//! [`BucketWriter`] spreads a stream of batches over buckets with bounded memory.

mod encode;
mod stats;
mod writer;

pub use encode::{EncodedFile, FileEncoder, encode_file};
pub use stats::FileStats;
pub use writer::BucketWriter;
