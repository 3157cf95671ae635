//! A benchmark in the API.

use chrono::{DateTime, Utc};
use kilowatch_shared::benchmark::{
    Benchmark, EngineFound, Figures, KeptBenchmark, Machine, Measurement, MeasurementResult, Spread,
};
use serde::Serialize;

use crate::http::timestamp;

#[derive(Debug, Serialize)]
pub(crate) struct BenchmarkBody {
    id: i64,
    #[serde(serialize_with = "timestamp::serialize")]
    started_at: DateTime<Utc>,
    #[serde(serialize_with = "timestamp::serialize")]
    finished_at: DateTime<Utc>,
    machine: MachineBody,
    rounds: u32,
    seed: u64,
    engines: Vec<EngineBody>,
    measurements: Vec<MeasurementBody>,
}

#[derive(Debug, Serialize)]
struct MachineBody {
    cpu: String,
    cores: u32,
    memory_bytes: u64,
    os: String,
}

#[derive(Debug, Serialize)]
struct EngineBody {
    engine: String,
    version: Option<String>,
    /// Why it did not take part.
    absence: Option<String>,
}

#[derive(Debug, Serialize)]
struct MeasurementBody {
    task: &'static str,
    engine: String,
    input_bytes: u64,
    input_rows: u64,
    /// Why there are no figures.
    failure: Option<String>,
    figures: Option<FiguresBody>,
}

#[derive(Debug, Serialize)]
struct FiguresBody {
    wall_secs: SpreadBody,
    cpu_secs: SpreadBody,
    peak_bytes: SpreadBody,
    /// The work alone, as the engine says.
    engine_secs: Option<SpreadBody>,
}

#[derive(Debug, Serialize)]
struct SpreadBody {
    min: f64,
    median: f64,
    max: f64,
}

impl From<KeptBenchmark> for BenchmarkBody {
    fn from(kept: KeptBenchmark) -> Self {
        let Benchmark { started_at, finished_at, machine, rounds, seed, engines, measurements } = kept.benchmark;
        Self {
            id: kept.id.get(),
            started_at,
            finished_at,
            machine: machine.into(),
            rounds,
            seed,
            engines: engines.into_iter().map(EngineBody::from).collect(),
            measurements: measurements.into_iter().map(MeasurementBody::from).collect(),
        }
    }
}

impl From<Machine> for MachineBody {
    fn from(machine: Machine) -> Self {
        let Machine { cpu, cores, memory_bytes, os } = machine;
        Self { cpu, cores, memory_bytes, os }
    }
}

impl From<EngineFound> for EngineBody {
    fn from(found: EngineFound) -> Self {
        let EngineFound { engine, version, absence } = found;
        Self { engine, version, absence }
    }
}

impl From<Measurement> for MeasurementBody {
    fn from(measured: Measurement) -> Self {
        let (figures, failure) = match measured.result {
            MeasurementResult::Measured(figures) => (Some(figures.into()), None),
            MeasurementResult::Failed(reason) => (None, Some(reason)),
        };
        Self {
            task: measured.task.as_str(),
            engine: measured.engine,
            input_bytes: measured.input_bytes,
            input_rows: measured.input_rows,
            failure,
            figures,
        }
    }
}

impl From<Figures> for FiguresBody {
    fn from(figures: Figures) -> Self {
        Self {
            wall_secs: figures.wall_secs.into(),
            cpu_secs: figures.cpu_secs.into(),
            peak_bytes: figures.peak_bytes.into(),
            engine_secs: figures.engine_secs.map(SpreadBody::from),
        }
    }
}

impl From<Spread> for SpreadBody {
    fn from(spread: Spread) -> Self {
        let Spread { min, median, max } = spread;
        Self { min, median, max }
    }
}
