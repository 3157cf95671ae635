//! `/system`: boundary, models, positions that operators changed, jobs and dead letters.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use chrono::{DateTime, FixedOffset, Utc};
use kilowatch_shared::{
    dead_letter::DeadLetter,
    job::JobRun,
    model::{ModelId, RegressionMetrics},
    stream::StreamProfile,
    verification::Verification,
    views::{BoundaryInfo, LayerCounts, ModelSwap, RecordedChange, ServedModel},
    wording::{counted, grouped},
};

use super::{
    chrome::{Chrome, offset},
    format, render,
};
use crate::{
    http::{ApiError, Params},
    readiness::ReadinessProblem,
    routes::{counts::count_layers, dead_letters::raw_text, health::find_problems, model_info::served_models},
    state::AppState,
};

const SHOWN_JOBS: u32 = 25;
const SHOWN_LETTERS: u32 = 20;
const SHOWN_SWAPS: u32 = 5;
const SHOWN_CHANGES: u32 = 10;
const SHOWN_LETTER_BYTES: usize = 400;

#[derive(Template)]
#[template(path = "system.html")]
struct SystemPage {
    chrome: Chrome,
    problems: Vec<ReadinessProblem>,
    counts: Vec<Figure>,
    lake_version: String,
    published: String,
    verified: VerifiedLine,
    partitions: Vec<(String, String)>,
    models: Vec<ModelRow>,
    swaps: Vec<SwapRow>,
    changes: Vec<ChangeRow>,
    jobs: Vec<JobRow>,
    letters: Vec<LetterRow>,
}

/// What the last verification found.
struct VerifiedLine {
    holds: bool,
    text: String,
}

struct Figure {
    label: &'static str,
    value: String,
    detail: &'static str,
}

struct ModelRow {
    kind: &'static str,
    id: String,
    since: String,
    trained_on: String,
    lake_version: i64,
    unit: String,
    /// The model first, then the naive methods that it has to beat.
    scores: Vec<Score>,
}

struct SwapRow {
    detector: String,
    from: String,
    model: String,
    replaced: String,
    promoted: String,
}

struct ChangeRow {
    at: String,
    verb: &'static str,
    partition: String,
    moved: String,
    lost: String,
    by: String,
    reason: String,
}

struct Score {
    name: String,
    is_model: bool,
    rmse: String,
    mae: String,
    r2: String,
}

struct JobRow {
    job: String,
    status: &'static str,
    started: String,
    took: String,
    rows: String,
    message: String,
}

struct LetterRow {
    seen: String,
    position: String,
    reason: String,
    raw: String,
}

pub(super) async fn show_system(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let params = Params::parse(request.query_string(), &["stream"])?;
    let profile = state.profile(&params)?;
    let (zone, now) = (offset(profile), state.clock.now());
    let BoundaryInfo { boundary, published_at } = state.views.boundary_info(&profile.name).await?;
    let models = served_models(&state, profile).await?;
    let swaps = state.views.model_swaps(&profile.name, SHOWN_SWAPS).await?;
    let changes = state.views.position_changes(&profile.name, SHOWN_CHANGES).await?;
    let jobs = state.views.recent_job_runs(&profile.name, SHOWN_JOBS).await?;
    let verified = state.views.verifications().await?;
    let letters = state.views.recent_dead_letters(&profile.name, SHOWN_LETTERS).await?;
    render(&SystemPage {
        problems: find_problems(&state, state.readiness.report()).await,
        counts: figures(count_layers(&state, profile).await?),
        lake_version: boundary.lake_version.map_or_else(|| "none yet".to_owned(), |version| version.to_string()),
        published: published_at.map_or_else(|| "never".to_owned(), |at| stamp(at, now, zone)),
        verified: VerifiedLine::new(verified.into_iter().find(|found| found.stream == profile.name), now, zone),
        partitions: boundary
            .partitions
            .into_iter()
            .map(|(partition, offset)| (String::from(partition), grouped(offset.get())))
            .collect(),
        models: models.into_iter().map(|served| ModelRow::new(served, profile, zone)).collect(),
        swaps: swaps.into_iter().map(|swap| SwapRow::new(swap, zone)).collect(),
        changes: changes.into_iter().map(|change| ChangeRow::new(change, zone)).collect(),
        jobs: jobs.into_iter().map(|run| JobRow::new(run, zone)).collect(),
        letters: letters.into_iter().map(|letter| LetterRow::new(letter, zone)).collect(),
        chrome: Chrome::gather(&state, profile, None, "System", "/system").await?,
    })
}

fn stamp(at: DateTime<Utc>, now: DateTime<Utc>, zone: FixedOffset) -> String {
    format!("{} ({})", format::table_time(at, zone), format::ago(at, now))
}

fn figures(counts: LayerCounts) -> Vec<Figure> {
    let figure = |label, value, detail| Figure { label, value: grouped(value), detail };
    vec![
        figure("Live readings", counts.speed.readings, "counted by speed, ever"),
        figure("Duplicates", counts.speed.duplicates, "same device and time, counted once"),
        figure("Dead letters", counts.speed.dead_letters, "messages that became no reading"),
        figure("Batch values", counts.batch_values, "of the first measure, in the batch views"),
        figure("Anomalies", counts.anomalies, "of all detectors"),
        figure("Devices", counts.devices, "heard of live"),
        figure("Forecasts", counts.forecasts, "vintages, none overwritten"),
        figure("Models", counts.models, "addressed by content"),
    ]
}

impl VerifiedLine {
    fn new(found: Option<Verification>, now: DateTime<Utc>, zone: FixedOffset) -> Self {
        match found {
            None => Self { holds: true, text: "Never verified: run kilowatch batch verify.".to_owned() },
            Some(found) => Self {
                holds: found.holds(),
                text: format!(
                    "Verified {} at lake version {}: {}.",
                    stamp(found.verified_at, now, zone),
                    found.lake_version,
                    found.message
                ),
            },
        }
    }
}

impl ModelRow {
    fn new(served: ServedModel, profile: &StreamProfile, zone: FixedOffset) -> Self {
        let ServedModel { manifest, since } = served;
        let score = |name: String, is_model, metrics: RegressionMetrics| Score {
            name,
            is_model,
            rmse: format::value(metrics.rmse),
            mae: format::value(metrics.mae),
            r2: format::value(metrics.r2),
        };
        let own = manifest.metrics.map(|metrics| score("this model".to_owned(), true, metrics));
        let naive = manifest.baselines.iter().map(|(name, metrics)| score(name.replace('_', " "), false, *metrics));
        let unit = manifest.target.as_ref().and_then(|target| profile.measures.iter().find(|m| m.name == *target));
        Self {
            kind: manifest.kind.as_str(),
            id: format::short_id(manifest.id.as_str()),
            since: format::table_time(since, zone),
            trained_on: format!(
                "{}, {} to {}",
                counted(manifest.train_rows, "row"),
                manifest.train_from.with_timezone(&zone).date_naive(),
                manifest.train_until.with_timezone(&zone).date_naive(),
            ),
            lake_version: manifest.lake_version,
            unit: unit.map(|measure| measure.unit.clone()).unwrap_or_default(),
            scores: own.into_iter().chain(naive).collect(),
        }
    }
}

impl SwapRow {
    fn new(swap: ModelSwap, zone: FixedOffset) -> Self {
        let short =
            |model: Option<ModelId>| model.map_or_else(|| "none".to_owned(), |id| format::short_id(id.as_str()));
        Self {
            detector: swap.detector.replace('_', " "),
            from: swap.from.to_string(),
            model: short(swap.model),
            replaced: short(swap.replaced),
            promoted: swap.promoted_at.map_or_else(|| "–".to_owned(), |at| format::table_time(at, zone)),
        }
    }
}

impl ChangeRow {
    fn new(change: RecordedChange, zone: FixedOffset) -> Self {
        let RecordedChange { partition, verb, moved, audit } = change;
        Self {
            at: format::table_time(audit.at, zone),
            verb: verb.as_str(),
            partition: format!("{}/{}", partition.source, partition.partition),
            moved: format!("{} to {}", grouped(moved.from.get()), grouped(moved.to.get())),
            lost: moved.gap.map_or_else(|| "nothing".to_owned(), |gap| gap.to_string()),
            by: audit.by,
            reason: audit.reason,
        }
    }
}

impl JobRow {
    fn new(run: JobRun, zone: FixedOffset) -> Self {
        let took_ms = (run.finished_at - run.started_at).num_milliseconds();
        Self {
            status: run.status.as_str(),
            started: format::table_time(run.started_at, zone),
            took: if took_ms < 1000 {
                format!("{took_ms} ms")
            } else {
                format!("{}.{} s", took_ms / 1000, took_ms % 1000 / 100)
            },
            rows: grouped(run.rows),
            job: run.job,
            message: run.message,
        }
    }
}

impl LetterRow {
    fn new(letter: DeadLetter, zone: FixedOffset) -> Self {
        Self {
            seen: format::table_time(letter.seen_at, zone),
            position: letter.position.to_string(),
            raw: raw_text(&letter.raw, SHOWN_LETTER_BYTES),
            reason: letter.reason,
        }
    }
}
