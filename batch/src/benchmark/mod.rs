//! `batch benchmark`: this engine beside those that are installed, whole process against whole process.
//!
//! `data` has a simulated household written and cuts a file of each size from it; `engine` says which engines there
//! are and what each is called with, `process` runs one and asks the operating system what it took, `output` checks
//! that it did the work; `run` lets them take turns, A B C A B C, so that what else the machine does meets all of them.
//! Nothing of it runs inside this process: our own engine is the same binary, started anew for each task.

mod data;
mod engine;
mod error;
mod machine;
mod output;
mod process;
mod run;

use std::{collections::BTreeSet, ffi::OsString, path::PathBuf, time::Duration};

use kilowatch_shared::benchmark::BenchmarkTask;
use tokio_util::sync::CancellationToken;

pub use error::BenchmarkError;
pub use run::benchmark;

/// What to measure, and with what.
#[derive(Debug, Clone)]
pub struct BenchmarkRequest {
    /// Sizes of the CSV files in bytes.
    pub sizes_bytes: BTreeSet<u64>,
    /// Rounds that count; one before them only warms up.
    pub rounds: u32,
    /// Seed of the simulated household.
    pub seed: u64,
    /// What one process may take.
    pub timeout: Duration,
    /// An empty folder for data and results. Whoever made it removes it.
    pub scratch: PathBuf,
    /// The binary of our own engine.
    pub binary: PathBuf,
    /// What our own engine calls itself: version and build.
    pub version: String,
    /// The Python that is asked for peers.
    pub python: OsString,
    /// The DuckDB program that is asked first.
    pub duckdb: OsString,
    /// Variables that no process inherits: settings of this one would lead ours to its stores.
    pub hidden_variables: Vec<String>,
    /// Kills what runs and ends the benchmark when it is cancelled.
    pub stop: CancellationToken,
}

/// One process that is about to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn<'a> {
    /// The task.
    pub task: BenchmarkTask,
    /// The engine.
    pub engine: &'a str,
    /// Size of the CSV file.
    pub input_bytes: u64,
    /// The round, 0 for the one that warms up.
    pub round: u32,
}

/// Who watches a benchmark.
pub trait BenchmarkProgress: Send + Sync {
    /// Data is being made, and then so many processes run.
    fn begin(&self, turns: u64);

    /// The next process runs.
    fn turn(&self, turn: Turn<'_>);
}
