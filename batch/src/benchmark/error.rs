//! Why there is no benchmark. A peer that is missing or fails is no error but a result.

use std::{io, path::PathBuf};

use kilowatch_shared::views::ViewsError;

/// What ends a benchmark.
#[derive(Debug, thiserror::Error)]
pub enum BenchmarkError {
    /// It was stopped; nothing is kept.
    #[error("the benchmark was stopped; nothing of it is kept")]
    Stopped,
    /// The scratch folder, or what is in it.
    #[error("benchmark: {}: {source}", path.display())]
    Scratch {
        /// What was read or written.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There is no data to measure with.
    #[error("benchmark: the data was not made: {reason}")]
    NoData {
        /// What the simulator said last.
        reason: String,
    },
    /// The operating system does not say what a process took.
    #[error("benchmark: waiting for {program}: {source}")]
    NotMeasured {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The views.
    #[error(transparent)]
    Views(#[from] ViewsError),
}

impl BenchmarkError {
    /// For `map_err` over what is done with a file.
    pub(super) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Scratch { path: path.to_owned(), source }
    }
}
