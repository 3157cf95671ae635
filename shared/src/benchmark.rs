//! What `batch benchmark` measured: engines side by side on one machine, whole process against whole process.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The number of a benchmark, in the order in which they were kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BenchmarkId(i64);

impl BenchmarkId {
    /// The id of a number from 1 on.
    #[must_use]
    pub const fn try_new(number: i64) -> Option<Self> {
        if number > 0 { Some(Self(number)) } else { None }
    }

    /// Reads it as it is shown.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().and_then(Self::try_new)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl std::fmt::Display for BenchmarkId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A benchmark that the views keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptBenchmark {
    /// Its number.
    pub id: BenchmarkId,
    /// What was measured.
    pub benchmark: Benchmark,
}

/// Benchmarks that the views keep, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BenchmarkPage {
    /// Those that this build can read.
    pub benchmarks: Vec<KeptBenchmark>,
    /// Those between them that another build kept and this one cannot read.
    pub unreadable: Vec<BenchmarkId>,
    /// The last of this page, if older ones follow.
    pub next: Option<BenchmarkId>,
}

/// One run of the benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Benchmark {
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// What it ran on.
    pub machine: Machine,
    /// Rounds that are counted; one before them only warmed up.
    pub rounds: u32,
    /// Seed of the generated data.
    pub seed: u64,
    /// Who took part, ours first, and who was looked for in vain.
    pub engines: Vec<EngineFound>,
    /// What was measured: by task, then size, then engine.
    pub measurements: Vec<Measurement>,
}

/// A machine, as far as it says what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Processors that the benchmark could use.
    pub cores: u32,
    /// Main memory in bytes; 0 where it is not known.
    pub memory_bytes: u64,
    /// Operating system and kernel.
    pub os: String,
}

/// An engine, and whether it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineFound {
    /// Its name.
    pub engine: String,
    /// What it says of its version; `None` if it did not take part.
    pub version: Option<String>,
    /// Why it did not take part.
    pub absence: Option<String>,
}

/// What the engines have to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BenchmarkTask {
    /// The CSV file becomes typed zstd Parquet.
    Ingest,
    /// That Parquet becomes hours: count, sum, extremes and sum of squares of each measure.
    Rollup,
}

impl BenchmarkTask {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 2] = [Self::Ingest, Self::Rollup];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Rollup => "rollup",
        }
    }
}

/// One engine at one task and size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The task.
    pub task: BenchmarkTask,
    /// The engine's name.
    pub engine: String,
    /// Size of the CSV file in bytes.
    pub input_bytes: u64,
    /// Its rows.
    pub input_rows: u64,
    /// How it went.
    pub result: MeasurementResult,
}

/// How an engine did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasurementResult {
    /// Every round went through.
    Measured(Figures),
    /// It failed, and this is the last that it said.
    Failed(String),
}

/// Figures of whole processes, from start to exit, as the operating system gives them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Time from start to exit, in seconds.
    pub wall_secs: Spread,
    /// Time of all processors together, in seconds.
    pub cpu_secs: Spread,
    /// Most memory that was resident at once, in bytes.
    pub peak_bytes: Spread,
    /// The work alone, in seconds, as the engine itself says: without its start and, for ours, without publishing.
    pub engine_secs: Option<Spread>,
}

/// What the counted rounds gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The one in the middle; of an even number the mean of the two.
    pub median: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// The spread of some values; `None` without any.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self { min, median: f64::midpoint(lower, upper), max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle_or_between_the_two() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0]), Some(Spread { min: 1.0, median: 2.5, max: 4.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn an_id_is_a_number_from_1_on() {
        assert_eq!(BenchmarkId::parse("17").map(BenchmarkId::get), Some(17));
        for bad in ["", "0", "-1", "x", "9223372036854775808"] {
            assert_eq!(BenchmarkId::parse(bad), None, "{bad:?}");
        }
    }
}
