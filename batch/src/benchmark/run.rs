//! The rounds: every engine at every task and size in turn, and what became of it.

use std::path::PathBuf;

use kilowatch_shared::benchmark::{Benchmark, BenchmarkTask, Figures, Measurement, MeasurementResult, Spread};

use super::{
    BenchmarkError, BenchmarkProgress, BenchmarkRequest, Turn,
    data::{InputFile, make_files},
    engine::{Engine, find},
    machine::this_machine,
    process::{self, Ended},
};
use crate::BatchDeps;

/// Measures, and keeps what came out in the views.
///
/// # Errors
/// [`BenchmarkError`]; nothing is kept then.
pub async fn benchmark(
    deps: &BatchDeps,
    request: &BenchmarkRequest,
    progress: &dyn BenchmarkProgress,
) -> Result<Benchmark, BenchmarkError> {
    let started_at = deps.clock.now();
    let (contestants, engines) = find(request).await?;
    let per_file = contestants.len() * BenchmarkTask::ALL.len() * (1 + request.rounds as usize);
    progress.begin((per_file * request.sizes_bytes.len()) as u64);
    let mut measurements = Vec::new();
    for input in make_files(request).await? {
        measurements.extend(measure(request, &contestants, &input, progress).await?);
    }
    measurements.sort_by_key(|measured| BenchmarkTask::ALL.iter().position(|task| *task == measured.task));
    let benchmark = Benchmark {
        started_at,
        finished_at: deps.clock.now(),
        machine: this_machine(),
        rounds: request.rounds,
        seed: request.seed,
        engines,
        measurements,
    };
    // Ctrl-C reaches the processes too, and one that it ended has not failed.
    if request.stop.is_cancelled() {
        return Err(BenchmarkError::Stopped);
    }
    deps.views.add_benchmark(&benchmark).await?;
    Ok(benchmark)
}

/// All engines over one file.
async fn measure(
    request: &BenchmarkRequest,
    engines: &[Engine],
    input: &InputFile,
    progress: &dyn BenchmarkProgress,
) -> Result<Vec<Measurement>, BenchmarkError> {
    let mut entries: Vec<Entry> = engines.iter().map(|engine| Entry::new(*engine)).collect();
    for round in 0..=request.rounds {
        for entry in &mut entries {
            entry.folder = entry.engine.prepare(request, input)?;
        }
        for task in BenchmarkTask::ALL {
            for entry in &mut entries {
                progress.turn(Turn { task, engine: entry.engine.name(), input_bytes: input.bytes, round });
                entry.take_turn(task, request, input, round > 0).await?;
            }
        }
    }
    for entry in &entries {
        // The files of one size must not push those of the next one out of the page cache.
        std::fs::remove_dir_all(&entry.folder).map_err(BenchmarkError::at(&entry.folder))?;
    }
    let by_task = |task| entries.iter().map(move |entry| entry.measurement(task, input));
    Ok(BenchmarkTask::ALL.into_iter().flat_map(by_task).collect())
}

/// An engine and what it did so far with one file.
struct Entry {
    engine: Engine,
    folder: PathBuf,
    ingest: Rounds,
    rollup: Rounds,
}

/// What the counted rounds of a task gave.
#[derive(Default)]
struct Rounds {
    wall_secs: Vec<f64>,
    cpu_secs: Vec<f64>,
    peak_bytes: Vec<f64>,
    engine_secs: Vec<f64>,
    failed: Option<String>,
}

impl Entry {
    fn new(engine: Engine) -> Self {
        Self { engine, folder: PathBuf::new(), ingest: Rounds::default(), rollup: Rounds::default() }
    }

    const fn of(&self, task: BenchmarkTask) -> &Rounds {
        match task {
            BenchmarkTask::Ingest => &self.ingest,
            BenchmarkTask::Rollup => &self.rollup,
        }
    }

    /// Why a task is not run: it failed before, or has nothing to work on.
    fn obstacle(&self, task: BenchmarkTask) -> Option<String> {
        let failed = self.of(task).failed.clone();
        let without_input = || match task {
            BenchmarkTask::Ingest => None,
            BenchmarkTask::Rollup => {
                self.ingest.failed.as_ref().map(|why| format!("not run, its ingest failed: {why}"))
            }
        };
        failed.or_else(without_input)
    }

    async fn take_turn(
        &mut self,
        task: BenchmarkTask,
        request: &BenchmarkRequest,
        input: &InputFile,
        counted: bool,
    ) -> Result<(), BenchmarkError> {
        let outcome = match self.obstacle(task) {
            Some(reason) => Err(reason),
            None => {
                let mut command = self.engine.command(task, request, &self.folder);
                match process::run(&mut command, &self.folder, request.timeout, &request.stop).await? {
                    Ended::Well(took) => self.engine.check(task, input, &self.folder, &took).map(|secs| (took, secs)),
                    Ended::NotFound => Err("its program is gone".to_owned()),
                    Ended::Badly(reason) => Err(reason),
                }
            }
        };
        let rounds = match task {
            BenchmarkTask::Ingest => &mut self.ingest,
            BenchmarkTask::Rollup => &mut self.rollup,
        };
        match outcome {
            Ok((took, engine_secs)) if counted => {
                rounds.wall_secs.push(took.wall.as_secs_f64());
                rounds.cpu_secs.push(took.cpu.as_secs_f64());
                rounds.peak_bytes.push(took.peak_bytes as f64);
                rounds.engine_secs.extend(engine_secs);
            }
            Ok(_) => {}
            Err(reason) => rounds.failed = Some(reason),
        }
        Ok(())
    }

    fn measurement(&self, task: BenchmarkTask, input: &InputFile) -> Measurement {
        let rounds = self.of(task);
        let figures = || {
            Some(Figures {
                wall_secs: Spread::of(&rounds.wall_secs)?,
                cpu_secs: Spread::of(&rounds.cpu_secs)?,
                peak_bytes: Spread::of(&rounds.peak_bytes)?,
                engine_secs: Spread::of(&rounds.engine_secs),
            })
        };
        let result = match (&rounds.failed, figures()) {
            (Some(reason), _) => MeasurementResult::Failed(reason.clone()),
            (None, Some(figures)) => MeasurementResult::Measured(figures),
            (None, None) => MeasurementResult::Failed("no round was counted".to_owned()),
        };
        Measurement {
            task,
            engine: self.engine.name().to_owned(),
            input_bytes: input.bytes,
            input_rows: input.rows,
            result,
        }
    }
}
