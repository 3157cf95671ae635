//! `kilowatch batch benchmark`: this engine beside those that are installed, on this machine.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kilowatch_batch::benchmark::{BenchmarkProgress, BenchmarkRequest, Turn, benchmark};
use kilowatch_shared::benchmark::{Benchmark, Machine, Measurement, MeasurementResult, Spread};

use crate::{context::Context, output, shutdown, stores::Stores};

const MB: u64 = 1_000_000;

/// Arguments of `benchmark`.
#[derive(Debug, Args)]
pub struct BenchmarkArgs {
    /// Sizes of the generated UCI files, in MB.
    #[arg(long, value_name = "MB,...", value_delimiter = ',', default_values_t = [50, 100, 200],
        value_parser = clap::value_parser!(u64).range(1..=10_000))]
    sizes: Vec<u64>,
    /// Rounds that count, after one that warms up; the engines take turns in each.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Same seed, same data.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds after which a process is ended and counted as failed.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout_secs: u64,
    /// The Python that is asked for DuckDB, Polars and Spark.
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: OsString,
    /// DuckDB's own program, which is asked before Python.
    #[arg(long, value_name = "PATH", default_value = "duckdb")]
    duckdb: OsString,
}

/// Measures, keeps the result and prints it.
pub async fn run(args: BenchmarkArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let deps = Stores::open(context).await?.batch();
    let scratch = Scratch::make(&context.settings.data_dir)?;
    let stop = shutdown::interrupted(shutdown::CLEANING_UP)?;
    let request = BenchmarkRequest {
        sizes_bytes: args.sizes.iter().map(|size| size * MB).collect(),
        rounds: args.rounds,
        seed: args.seed,
        timeout: Duration::from_secs(args.timeout_secs),
        scratch: scratch.folder.clone(),
        binary: std::env::current_exe().context("finding this binary")?,
        version: version(),
        python: program(&args.python)?,
        duckdb: program(&args.duckdb)?,
        hidden_variables: context.environment.keys().filter(|name| name.starts_with("KILOWATCH_")).cloned().collect(),
        stop,
    };
    let measured = benchmark(&deps, &request, &TurnBar::new()).await?;
    output::answer(context.json, &measured, describe)?;
    Ok(ExitCode::SUCCESS)
}

/// Version and commit, as far as the build knew it.
fn version() -> String {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("KILOWATCH_COMMIT"));
    if commit.is_empty() { version.to_owned() } else { format!("{version} ({commit})") }
}

/// A name is looked for on the path; a path is meant from here, wherever the program is started.
fn program(named: &OsStr) -> anyhow::Result<OsString> {
    if Path::new(named).components().count() == 1 {
        return Ok(named.to_owned());
    }
    // Not resolved: a virtual environment is told by the link to its Python.
    Ok(std::path::absolute(named).with_context(|| format!("finding {}", named.display()))?.into())
}

/// The folder of a benchmark. It goes with the benchmark; what one left that was killed goes with the next.
#[derive(Debug)]
struct Scratch {
    folder: PathBuf,
    _lock: File,
}

impl Scratch {
    fn make(data_dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(data_dir).with_context(|| format!("making the data folder {}", data_dir.display()))?;
        let data_dir = data_dir.canonicalize().with_context(|| format!("finding {}", data_dir.display()))?;
        let path = data_dir.join("benchmark.lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.with_context(|| format!("opening {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!("another benchmark runs in {}; each would measure the other", data_dir.display())
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
        let folder = data_dir.join("benchmark");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(Self { folder, _lock: lock })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "the benchmark's folder is not removed");
        }
    }
}

/// Which process runs, drawn; told to the log where standard error is no terminal.
struct TurnBar(ProgressBar);

impl TurnBar {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{bar:40.cyan/dim} {pos}/{len} {msg} {eta}") {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl BenchmarkProgress for TurnBar {
    fn begin(&self, turns: u64) {
        self.0.set_length(turns);
        self.0.set_message("simulating a household");
        self.0.tick();
        tracing::info!(benchmark.processes = turns, "benchmark begins");
    }

    fn turn(&self, turn: Turn<'_>) {
        let Turn { task, engine, input_bytes, round } = turn;
        self.0.set_message(format!("{engine}, {} of {}", task.as_str(), megabytes(input_bytes)));
        self.0.inc(1);
        if self.0.is_hidden() {
            tracing::info!(
                benchmark.engine = engine,
                benchmark.task = task.as_str(),
                benchmark.input_bytes = input_bytes,
                benchmark.round = round,
                "a process of the benchmark runs"
            );
        }
    }
}

impl Drop for TurnBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The machine, who took part, and a line a measurement.
fn describe(benchmark: &Benchmark) -> String {
    let Machine { cpu, cores, memory_bytes, os } = &benchmark.machine;
    let memory_gib = *memory_bytes as f64 / f64::from(1 << 30);
    let engines = benchmark.engines.iter().map(|found| match (&found.version, &found.absence) {
        (Some(version), _) => format!("{} {version}", found.engine),
        (None, Some(absence)) => format!("{}: {absence}", found.engine),
        (None, None) => found.engine.clone(),
    });
    let rows: Vec<_> = benchmark.measurements.iter().map(row).collect();
    let titles = ["task", "size", "engine", "wall s", "work alone s", "cpu s", "peak MB"];
    format!(
        "{cpu}, {cores} cores, {memory_gib:.1} GiB, {os}\n{}\nmedian (min-max) of {} rounds\n\n{}\n\nkept; the page \
         /benchmarks draws it",
        engines.collect::<Vec<_>>().join("; "),
        benchmark.rounds,
        output::aligned(titles, &rows)
    )
}

fn row(measured: &Measurement) -> [String; 7] {
    let [wall, work, cpu, peak] = match &measured.result {
        MeasurementResult::Failed(reason) => [format!("failed: {reason}"), String::new(), String::new(), String::new()],
        MeasurementResult::Measured(figures) => [
            spread(figures.wall_secs, 1.0, 3),
            output::known(figures.engine_secs.map(|secs| spread(secs, 1.0, 3))),
            spread(figures.cpu_secs, 1.0, 3),
            spread(figures.peak_bytes, 1.0 / MB as f64, 0),
        ],
    };
    let (task, size) = (measured.task.as_str().to_owned(), megabytes(measured.input_bytes));
    [task, size, measured.engine.clone(), wall, work, cpu, peak]
}

fn spread(spread: Spread, factor: f64, decimals: usize) -> String {
    let [median, min, max] = [spread.median, spread.min, spread.max].map(|value| value * factor);
    format!("{median:.decimals$} ({min:.decimals$}-{max:.decimals$})")
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / MB as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_benchmark_left_goes_with_the_next_and_two_do_not_run_at_once() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("benchmark")).unwrap();
        fs::write(data.path().join("benchmark/left"), "x").unwrap();
        let scratch = Scratch::make(data.path()).unwrap();
        assert_eq!(fs::read_dir(&scratch.folder).unwrap().count(), 0);
        assert!(Scratch::make(data.path()).unwrap_err().to_string().contains("another benchmark"));
        drop(scratch);
        assert!(!data.path().join("benchmark").exists());
    }

    #[test]
    fn a_bare_name_stays_one_for_the_path() {
        assert_eq!(program(OsStr::new("python3")).unwrap(), "python3");
        assert!(Path::new(&program(OsStr::new("venv/bin/python")).unwrap()).is_absolute());
    }
}
