//! The embedded log: one SQLite file, several topics, durable once an append returns.
//!
//! An append becomes a row in four steps, one a file: `chunk` packs the messages of a call by partition, `group`
//! joins the chunks of calls that arrive together, `writer` commits a group in one transaction and answers, and
//! `reads` unpacks a range. `schema` makes the file or refuses one that is not ours, `sqlite_log` is the handle.
//!
//! Several processes may have the file open. Offsets are given out inside `BEGIN IMMEDIATE`, so appends of two
//! processes are exact; a reader learns of its own process's appends at once, and of others' by looking.

mod chunk;
mod error;
mod group;
mod reads;
mod schema;
mod sqlite_log;
mod trim;
mod writer;

pub use sqlite_log::SqliteLog;
