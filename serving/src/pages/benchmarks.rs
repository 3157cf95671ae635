//! `/benchmarks`: the engine beside its peers, as the last `batch benchmark` measured them, and the runs before it.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use chrono::FixedOffset;
use kilowatch_shared::{
    benchmark::{
        Benchmark, BenchmarkId, BenchmarkPage, BenchmarkTask, EngineFound, KeptBenchmark, Measurement,
        MeasurementResult, Spread,
    },
    wording::{counted, grouped},
};

use super::{
    chrome::{Chrome, offset},
    format, render,
};
use crate::{
    http::{ApiError, ErrorCode, Params},
    routes::benchmarks::find_page,
    state::AppState,
};

const SHOWN_RUNS: u32 = 10;
const BYTES_PER_MB: f64 = 1e6;

#[derive(Template)]
#[template(path = "benchmarks.html")]
struct BenchmarksPage {
    chrome: Chrome,
    /// The run that is looked at; none before the first.
    run: Option<ShownRun>,
    runs: Vec<RunRow>,
    /// Which runs are left out; empty if none is.
    unreadable: String,
    is_first: bool,
    /// Link to the first page of runs.
    newest: String,
    /// Link to the next page of runs; empty on the last one.
    older: String,
}

struct ShownRun {
    tiles: Vec<Tile>,
    engines: Vec<EngineLine>,
    tasks: Vec<TaskFigure>,
}

struct Tile {
    label: String,
    value: String,
    unit: &'static str,
    detail: String,
}

struct EngineLine {
    name: String,
    /// Version, or why it did not take part.
    detail: String,
    /// Number of its colour; 0 for one that is not drawn.
    series: usize,
}

struct TaskFigure {
    name: &'static str,
    title: &'static str,
    note: &'static str,
    rows: Vec<FigureRow>,
}

struct FigureRow {
    size: String,
    engine: String,
    series: usize,
    /// Empty unless the engine failed.
    failure: String,
    cells: Vec<Cell>,
}

/// A spread, for people and for the chart.
struct Cell {
    figure: &'static str,
    label: &'static str,
    median: f64,
    min: f64,
    max: f64,
    shown: String,
    range: String,
}

struct RunRow {
    link: String,
    started: String,
    is_shown: bool,
    version: String,
    peers: String,
    ingest: String,
    rollup: String,
    cpu: String,
}

pub(super) async fn show_benchmarks(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let params = Params::parse(request.query_string(), &["stream", "run", "limit", "cursor"])?;
    let profile = state.profile(&params)?;
    let zone = offset(profile);
    let asked = params.get("run", |text| BenchmarkId::parse(text).ok_or("must be the number of a run"))?;
    let BenchmarkPage { benchmarks: page, unreadable, next } = find_page(&state, &params, SHOWN_RUNS).await?;
    let shown = match asked {
        Some(id) => Some(find_run(&state, id).await?),
        None => state.views.list_benchmarks(None, SHOWN_RUNS).await?.benchmarks.into_iter().next(),
    };
    let shown_id = shown.as_ref().map(|kept| kept.id);
    let stream = if profile.name == state.default_stream { String::new() } else { format!("&stream={}", profile.name) };
    let link = |run: Option<BenchmarkId>| match run {
        Some(run) => format!("/benchmarks?run={run}{stream}"),
        None => String::new(),
    };
    render(&BenchmarksPage {
        chrome: Chrome::gather(&state, profile, None, "Benchmarks", "/benchmarks").await?,
        run: shown.map(|kept| ShownRun::new(&kept.benchmark, zone)),
        runs: page
            .into_iter()
            .map(|kept| RunRow::new(link(Some(kept.id)), Some(kept.id) == shown_id, &kept.benchmark, zone))
            .collect(),
        unreadable: unreadable_note(&unreadable),
        is_first: params.text("cursor").is_none(),
        newest: link(shown_id),
        older: next.map(|cursor| format!("{}&cursor={cursor}", link(shown_id))).unwrap_or_default(),
    })
}

fn unreadable_note(left_out: &[BenchmarkId]) -> String {
    let numbers: Vec<String> = left_out.iter().map(ToString::to_string).collect();
    match left_out.len() {
        0 => String::new(),
        runs => format!(
            "{} of another build, which this one cannot read, left out: {}",
            counted(runs as u64, "run"),
            numbers.join(", ")
        ),
    }
}

async fn find_run(state: &AppState, id: BenchmarkId) -> Result<KeptBenchmark, ApiError> {
    state.views.benchmark(id).await?.ok_or_else(|| {
        ApiError::new(ErrorCode::NotFound, format!("there is no benchmark {id} that this build can read"))
            .hint("the newest hundred are kept; list them with GET /api/benchmarks")
    })
}

impl ShownRun {
    fn new(benchmark: &Benchmark, zone: FixedOffset) -> Self {
        let engines: Vec<EngineLine> =
            benchmark.engines.iter().map(|found| EngineLine::new(found, benchmark)).collect();
        let machine = &benchmark.machine;
        let mut tiles: Vec<Tile> = BenchmarkTask::ALL.iter().filter_map(|task| largest(benchmark, *task)).collect();
        tiles.push(Tile {
            label: "Machine".to_owned(),
            value: machine.cores.to_string(),
            unit: if machine.cores == 1 { "core" } else { "cores" },
            detail: format!("{}, {}; {}", machine.cpu, memory(machine.memory_bytes), machine.os),
        });
        tiles.push(Tile {
            label: "Run".to_owned(),
            value: benchmark.started_at.with_timezone(&zone).format("%-d %b %Y").to_string(),
            unit: "",
            detail: format!(
                "{}, took {}; {} after one to warm up, seed {}",
                benchmark.started_at.with_timezone(&zone).format("%H:%M"),
                format::duration(benchmark.finished_at - benchmark.started_at),
                counted(benchmark.rounds.into(), "counted round"),
                benchmark.seed
            ),
        });
        let tasks = BenchmarkTask::ALL.map(|task| TaskFigure::new(task, benchmark, &engines));
        Self { tiles, engines, tasks: tasks.into() }
    }
}

/// Our time at the largest size, and the others' beside it.
fn largest(benchmark: &Benchmark, task: BenchmarkTask) -> Option<Tile> {
    let measured = of_largest(benchmark, task);
    let secs = |measured: &Measurement| match &measured.result {
        MeasurementResult::Measured(figures) => Some(figures.wall_secs.median),
        MeasurementResult::Failed(_) => None,
    };
    let (ours, peers) = measured.split_first()?;
    let peers: Vec<String> = peers
        .iter()
        .map(|peer| match secs(peer) {
            Some(secs) => format!("{} {} s", peer.engine, format::value(secs)),
            None => format!("{} failed", peer.engine),
        })
        .collect();
    let doing = match task {
        BenchmarkTask::Ingest => "to Parquet",
        BenchmarkTask::Rollup => "rolled up",
    };
    Some(Tile {
        label: format!("{} {doing}, {}", megabytes(ours.input_bytes), ours.engine),
        value: secs(ours).map_or_else(|| "failed".to_owned(), format::value),
        unit: if secs(ours).is_some() { "s" } else { "" },
        detail: if peers.is_empty() { "no peer is installed".to_owned() } else { peers.join(", ") },
    })
}

/// The measurements of a task at its largest size, ours first.
fn of_largest(benchmark: &Benchmark, task: BenchmarkTask) -> Vec<&Measurement> {
    let of_task = || benchmark.measurements.iter().filter(|measured| measured.task == task);
    let largest = of_task().map(|measured| measured.input_bytes).max();
    of_task().filter(|measured| Some(measured.input_bytes) == largest).collect()
}

impl EngineLine {
    fn new(found: &EngineFound, benchmark: &Benchmark) -> Self {
        let mut present = benchmark.engines.iter().filter(|other| other.version.is_some());
        let series = present.position(|other| other.engine == found.engine).map_or(0, |position| position + 1);
        let detail = found.version.clone().or_else(|| found.absence.clone()).unwrap_or_default();
        Self { name: found.engine.clone(), detail, series }
    }
}

impl TaskFigure {
    fn new(task: BenchmarkTask, benchmark: &Benchmark, engines: &[EngineLine]) -> Self {
        let (title, note) = match task {
            BenchmarkTask::Ingest => (
                "CSV to Parquet",
                "A UCI file becomes typed zstd Parquet. For kilowatch that is a synced commit to a Delta lake, with a check \
                 of what the lake holds.",
            ),
            BenchmarkTask::Rollup => (
                "Hourly roll-up",
                "Count, sum, extremes and sum of squares of seven measures from each engine's own Parquet. kilowatch also \
                 publishes all of it into its views, in SQLite; the work alone is the query without that.",
            ),
        };
        let rows = benchmark.measurements.iter().filter(|measured| measured.task == task);
        Self {
            name: task.as_str(),
            title,
            note,
            rows: rows.map(|measured| FigureRow::new(measured, engines)).collect(),
        }
    }
}

impl FigureRow {
    fn new(measured: &Measurement, engines: &[EngineLine]) -> Self {
        let (cells, failure) = match &measured.result {
            MeasurementResult::Failed(reason) => (Vec::new(), reason.clone()),
            MeasurementResult::Measured(figures) => {
                let cell = |figure, label, spread, factor| Cell::new(figure, label, spread, factor);
                let mut cells = vec![cell("wall", "Time, s", figures.wall_secs, 1.0)];
                cells.extend(figures.engine_secs.map(|secs| cell("work", "Work alone, s", secs, 1.0)));
                if figures.engine_secs.is_none() {
                    cells.push(Cell::unknown("work", "Work alone, s"));
                }
                cells.push(cell("cpu", "CPU, s", figures.cpu_secs, 1.0));
                cells.push(cell("peak", "Peak, MB", figures.peak_bytes, 1.0 / BYTES_PER_MB));
                (cells, String::new())
            }
        };
        let series = engines.iter().find(|line| line.name == measured.engine).map_or(0, |line| line.series);
        Self { size: megabytes(measured.input_bytes), engine: measured.engine.clone(), series, failure, cells }
    }
}

impl Cell {
    fn new(figure: &'static str, label: &'static str, spread: Spread, factor: f64) -> Self {
        let [median, min, max] = [spread.median, spread.min, spread.max].map(|value| value * factor);
        let (shown, range) = (format::value(median), format!("{} to {}", format::value(min), format::value(max)));
        Self { figure, label, median, min, max, shown, range }
    }

    fn unknown(figure: &'static str, label: &'static str) -> Self {
        Self { figure, label, median: 0.0, min: 0.0, max: 0.0, shown: "–".to_owned(), range: String::new() }
    }
}

impl RunRow {
    fn new(link: String, is_shown: bool, benchmark: &Benchmark, zone: FixedOffset) -> Self {
        let ours = |task| match of_largest(benchmark, task).first() {
            Some(Measurement { result: MeasurementResult::Measured(figures), input_bytes, .. }) => {
                format!("{} s of {}", format::value(figures.wall_secs.median), megabytes(*input_bytes))
            }
            Some(_) => "failed".to_owned(),
            None => "–".to_owned(),
        };
        let mut engines = benchmark.engines.iter();
        let version = engines.next().and_then(|ours| ours.version.clone()).unwrap_or_default();
        let peers: Vec<String> =
            engines.filter_map(|peer| Some(format!("{} {}", peer.engine, peer.version.as_ref()?))).collect();
        Self {
            link,
            started: format::table_time(benchmark.started_at, zone),
            is_shown,
            version,
            peers: if peers.is_empty() { "none".to_owned() } else { peers.join(", ") },
            ingest: ours(BenchmarkTask::Ingest),
            rollup: ours(BenchmarkTask::Rollup),
            cpu: format!("{}, {}", benchmark.machine.cpu, counted(benchmark.machine.cores.into(), "core")),
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", grouped((bytes as f64 / BYTES_PER_MB).round() as u64))
}

fn memory(bytes: u64) -> String {
    if bytes == 0 { "memory unknown".to_owned() } else { format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)) }
}
