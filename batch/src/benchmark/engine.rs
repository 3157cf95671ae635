//! The engines: how each is found, what it is called with, and whether it made what it should.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use kilowatch_shared::benchmark::{BenchmarkTask, EngineFound};
use serde_json::Value;

use super::{
    BenchmarkError, BenchmarkRequest,
    data::InputFile,
    output::parquet_rows,
    process::{self, Ended, Took},
};
use crate::{
    ingest::UCI_MEASURES,
    sql::{Names, fill},
};

/// The work for the engines of Python, and for DuckDB's own program.
const PEER_SCRIPT: &str = include_str!("peer.py");
const DUCKDB_INGEST: &str = include_str!("duckdb_ingest.sql");
const DUCKDB_ROLLUP: &str = include_str!("duckdb_rollup.sql");

/// What is said of an engine that is not there; the script says the same of a module.
const NOT_INSTALLED: &str = "not installed";

/// An engine that takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// This binary.
    Kilowatch,
    /// DuckDB's own program.
    DuckDbProgram,
    /// A module of Python.
    Python(Module),
}

/// A module of Python that is an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Module {
    DuckDb,
    Polars,
    Spark,
}

impl Engine {
    /// As it is called in reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kilowatch => "kilowatch",
            Self::DuckDbProgram | Self::Python(Module::DuckDb) => "DuckDB",
            Self::Python(Module::Polars) => "Polars",
            Self::Python(Module::Spark) => "Spark",
        }
    }

    /// The folder of its data within that of a file.
    const fn folder(self) -> &'static str {
        match self {
            Self::Kilowatch => "kilowatch",
            Self::DuckDbProgram | Self::Python(Module::DuckDb) => "duckdb",
            Self::Python(Module::Polars) => "polars",
            Self::Python(Module::Spark) => "spark",
        }
    }

    /// A fresh folder for it beside its input, which it reads as `../input.csv`.
    pub(super) fn prepare(self, request: &BenchmarkRequest, input: &InputFile) -> Result<PathBuf, BenchmarkError> {
        let folder = request.scratch.join(input.bytes.to_string()).join(self.folder());
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(BenchmarkError::at(&folder))?;
        }
        std::fs::create_dir_all(&folder).map_err(BenchmarkError::at(&folder))?;
        let link = folder.with_file_name("input.csv");
        if !link.exists() {
            std::os::unix::fs::symlink(&input.path, &link).map_err(BenchmarkError::at(&link))?;
        }
        Ok(folder)
    }

    /// The process of a task. Its working folder is the engine's own, so that no path of the user's is part of a query.
    pub(super) fn command(self, task: BenchmarkTask, request: &BenchmarkRequest, folder: &Path) -> Command {
        let mut command = match self {
            Self::Kilowatch => {
                let mut command = Command::new(&request.binary);
                command.args(["--json", "--data-dir", "data", "batch"]);
                match task {
                    BenchmarkTask::Ingest => command.args(["ingest", "../input.csv"]),
                    BenchmarkTask::Rollup => command.args(["rollup", "--full"]),
                };
                command
            }
            Self::DuckDbProgram => {
                let mut command = Command::new(&request.duckdb);
                command.args(["-batch", "-bail", "-c"]);
                command.arg(match task {
                    BenchmarkTask::Ingest => DUCKDB_INGEST,
                    BenchmarkTask::Rollup => DUCKDB_ROLLUP,
                });
                command
            }
            Self::Python(module) => python(request, module.script_name(), task.as_str()),
        };
        without(&mut command, request);
        command.current_dir(folder);
        command
    }

    /// How long it says that the work took, if it says so; or that it has not made what it should.
    pub(super) fn check(
        self,
        task: BenchmarkTask,
        input: &InputFile,
        folder: &Path,
        took: &Took,
    ) -> Result<Option<f64>, String> {
        let (expected, what, file) = match (task, self) {
            (BenchmarkTask::Ingest, _) => (input.rows, "readings", "readings.parquet"),
            // One for each measure, and none for an hour in which every value is missing.
            (BenchmarkTask::Rollup, Self::Kilowatch) => (input.partials, "partials", ""),
            (BenchmarkTask::Rollup, _) => (input.hours, "hours", "hours.parquet"),
        };
        let (made, engine_secs) = match self {
            Self::Kilowatch => our_work(task, &took.output)?,
            Self::DuckDbProgram | Self::Python(_) => {
                (parquet_rows(&folder.join(file))?, took.output.trim().parse().ok())
            }
        };
        if made == expected {
            Ok(engine_secs)
        } else {
            Err(format!("it made {made} {what} where there are {expected}"))
        }
    }
}

impl Module {
    const fn script_name(self) -> &'static str {
        match self {
            Self::DuckDb => "duckdb",
            Self::Polars => "polars",
            Self::Spark => "pyspark",
        }
    }
}

/// The engines of this machine: those that take part, ours first, and what is said of all of them.
pub(super) async fn find(request: &BenchmarkRequest) -> Result<(Vec<Engine>, Vec<EngineFound>), BenchmarkError> {
    let measures = UCI_MEASURES.map(|(header, _)| header);
    let rollup = fill(DUCKDB_ROLLUP, &[Names { word: "measure", names: &measures }]);
    for (name, text) in
        [("peer.py", PEER_SCRIPT), ("duckdb_ingest.sql", DUCKDB_INGEST), ("duckdb_rollup.sql", rollup.as_str())]
    {
        let path = request.scratch.join(name);
        std::fs::write(&path, text).map_err(BenchmarkError::at(&path))?;
    }
    let ours = EngineFound {
        engine: Engine::Kilowatch.name().to_owned(),
        version: Some(request.version.clone()),
        absence: None,
    };
    let (mut engines, mut found) = (vec![Engine::Kilowatch], vec![ours]);
    for ways in [
        [Some(Engine::DuckDbProgram), Some(Engine::Python(Module::DuckDb))],
        [Some(Engine::Python(Module::Polars)), None],
        [Some(Engine::Python(Module::Spark)), None],
    ] {
        let mut absence = NOT_INSTALLED.to_owned();
        let mut version = None;
        let mut name = "";
        for engine in ways.into_iter().flatten() {
            name = engine.name();
            match ask_version(engine, request).await? {
                Ok(said) => {
                    engines.push(engine);
                    version = Some(said);
                    break;
                }
                Err(reason) => absence = reason,
            }
        }
        let absence = version.is_none().then_some(absence);
        found.push(EngineFound { engine: name.to_owned(), version, absence });
    }
    Ok((engines, found))
}

/// Its version, or why it cannot take part.
async fn ask_version(engine: Engine, request: &BenchmarkRequest) -> Result<Result<String, String>, BenchmarkError> {
    let mut command = match engine {
        Engine::Kilowatch => return Ok(Ok(request.version.clone())),
        Engine::DuckDbProgram => {
            let mut command = Command::new(&request.duckdb);
            command.arg("--version");
            command
        }
        Engine::Python(module) => python(request, module.script_name(), "version"),
    };
    without(&mut command, request);
    command.current_dir(&request.scratch);
    Ok(match process::run(&mut command, &request.scratch, request.timeout, &request.stop).await? {
        Ended::Well(took) => Ok(took.output.lines().next().unwrap_or("unknown version").trim().to_owned()),
        Ended::NotFound => Err(NOT_INSTALLED.to_owned()),
        Ended::Badly(reason) => Err(reason),
    })
}

fn python(request: &BenchmarkRequest, module: &str, task: &str) -> Command {
    let mut command = Command::new(&request.python);
    command.arg(request.scratch.join("peer.py")).args([module, task]);
    command
}

/// Leaves out the variables that a process must not inherit.
pub(super) fn without(command: &mut Command, request: &BenchmarkRequest) {
    for name in &request.hidden_variables {
        command.env_remove(name);
    }
}

/// What our own report says: rows or partials, and how long it took, of a roll-up the query alone.
fn our_work(task: BenchmarkTask, output: &str) -> Result<(u64, Option<f64>), String> {
    let report: Value = serde_json::from_str(output).map_err(|error| format!("its report is unreadable: {error}"))?;
    let number = |name: &str| report[name].as_u64().ok_or_else(|| format!("its report has no `{name}`"));
    match task {
        BenchmarkTask::Ingest => Ok((number("rows")?, report["seconds"].as_f64())),
        BenchmarkTask::Rollup => Ok((number("partials")?, report["query_seconds"].as_f64())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> InputFile {
        InputFile { path: PathBuf::from("x"), bytes: 1, rows: 60, hours: 1, partials: 7 }
    }

    fn says(output: &str, task: BenchmarkTask) -> Result<Option<f64>, String> {
        let took = Took { wall: Default::default(), cpu: Default::default(), peak_bytes: 1, output: output.to_owned() };
        Engine::Kilowatch.check(task, &input(), Path::new("x"), &took)
    }

    #[test]
    fn an_engine_that_made_other_rows_has_failed() {
        assert_eq!(says(r#"{"rows": 60, "seconds": 0.5}"#, BenchmarkTask::Ingest), Ok(Some(0.5)));
        let error = says(r#"{"rows": 59, "seconds": 0.5}"#, BenchmarkTask::Ingest).unwrap_err();
        assert_eq!(error, "it made 59 readings where there are 60");
        assert_eq!(says(r#"{"partials": 7, "query_seconds": 0.25}"#, BenchmarkTask::Rollup), Ok(Some(0.25)));
        for partials in [0, 1, 6, 8] {
            let error = says(&format!(r#"{{"partials": {partials}}}"#), BenchmarkTask::Rollup).unwrap_err();
            assert_eq!(error, format!("it made {partials} partials where there are 7"));
        }
        assert!(says("", BenchmarkTask::Rollup).is_err());
    }
}
