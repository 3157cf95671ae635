//! Readings of one partition, column by column.
//!
//! A segment of a million readings waits in memory for its close. As structs with texts of their own they take five
//! times the memory, and every one of them two allocations; here a reading of three measures takes some 60 bytes. They
//! come in runs, one a micro-batch, that are put together without copying: [`ReadingColumns`] is a list of [`ReadingRun`]s, in which
//! `numbered` stands numbers for devices and tags.

mod numbered;
mod readings;
mod run;

pub use readings::ReadingColumns;
pub use run::ReadingRun;

#[cfg(test)]
mod tests;
