//! `forecast`: the model that serves says the hours ahead of every device, as a vintage.
//!
//! A forecast is issued at the start of the current hour and knows the hours that are over by then; its first target is
//! the next hour. A device whose history ended longer ago than the horizon reaches (an ingested file, a meter that fell
//! silent) gets its forecast as of the end of its history instead: it says what would have come next, and its issue says
//! when that was. A second run in the same hour finds the vintage there and changes nothing.

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    forecast::{ForecastPoint, ForecastVintage},
    job::JobStatus,
    lake::{AsOf, LakeTable},
    model::{ForecastModel, ModelError, ModelId, ModelKind, load_forecast},
    position::DeviceId,
    stream::StreamProfile,
};
use serde::{Deserialize, Serialize};

use super::history::{Summary, recorded};
use crate::{
    BatchDeps, BatchError,
    features::{HourIndex, HourlySeries, ISSUE_FEATURES, Known, issue_features, read::read_hours},
    training::TrainError,
};

/// When to forecast.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForecastRequest {
    /// As of this instant, for every device; else as of now, or of the end of a device's history.
    pub issued_at: Option<DateTime<Utc>>,
    /// With the lake as of this point, and issued when that version was committed if `issued_at` says nothing else; else
    /// the newest version.
    pub as_of: Option<AsOf>,
}

/// One device's forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IssuedForecast {
    /// The device.
    pub device: DeviceId,
    /// When it was issued; nothing later was known.
    pub issued_at: DateTime<Utc>,
    /// The end of the last hour that was known.
    pub known_until: DateTime<Utc>,
    /// Number of hours ahead.
    pub hours: u32,
    /// Whether it is as of the end of the history, because that was too long ago.
    pub at_end_of_history: bool,
}

/// What a forecast run gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecastReport {
    /// The model that spoke; `None` if none serves yet, and then nothing was forecast.
    pub model_id: Option<ModelId>,
    /// Version of the lake that was known.
    pub lake_version: Option<i64>,
    /// The forecasts, by device.
    pub issued: Vec<IssuedForecast>,
    /// Devices that fell silent before the model had learned: as of then, it would know the future.
    pub silent_devices: u64,
}

/// Forecasts the hours ahead of every device.
///
/// # Errors
/// [`BatchError::Hindsight`] if the serving model learned from readings after `issued_at`; [`BatchError::Train`],
/// [`BatchError::Lake`] or [`BatchError::Views`].
pub async fn forecast(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: &ForecastRequest,
) -> Result<ForecastReport, BatchError> {
    recorded(deps, profile, "forecast", run(deps, profile, *request)).await
}

async fn run(
    deps: &BatchDeps,
    profile: &StreamProfile,
    request: ForecastRequest,
) -> Result<ForecastReport, BatchError> {
    let Some(config) = &profile.forecast else {
        return Err(TrainError::NotDeclared { stream: profile.name.to_string(), section: "[forecast]" }.into());
    };
    let mut report = ForecastReport { model_id: None, lake_version: None, issued: Vec::new(), silent_devices: 0 };
    let Some(manifest) = deps.views.serving_model(&profile.name, ModelKind::Forecast).await? else {
        return Ok(report);
    };
    let now = HourIndex::of(match request.issued_at {
        Some(issued_at) => issued_at,
        None => time_of(deps, profile, request.as_of).await?,
    });
    if request.issued_at.is_some() && manifest.train_until > now.start() {
        let (model, trained_until) = (manifest.id, manifest.train_until);
        return Err(BatchError::Hindsight { model, trained_until, issued_at: now.start() });
    }
    let model = load_forecast(deps.lake.as_ref(), &manifest.id).await.map_err(TrainError::from)?;
    if model.features != ISSUE_FEATURES {
        let reason = "it takes features that this build does not compute; train it again".to_owned();
        return Err(TrainError::from(ModelError::Unreadable { reason }).into());
    }
    let read =
        read_hours(&deps.lake, profile, &model.target, Known { until: now.start(), as_of: request.as_of }).await?;
    report.model_id = Some(manifest.id.clone());
    report.lake_version = Some(read.lake_version);
    for (device, history) in read.rows {
        let issue = match request.issued_at {
            Some(_) => now,
            None => issue_of(&history, now, config.horizon_hours),
        };
        if manifest.train_until > issue.start() {
            report.silent_devices += 1;
            continue;
        }
        let vintage = ForecastVintage {
            stream: profile.name.clone(),
            device: device.clone(),
            measure: model.target.clone(),
            issued_at: issue.start(),
            model_id: manifest.id.clone(),
            lake_version: read.lake_version,
            interval_level: model.interval_level,
            points: points(&model, &history, issue, config.horizon_hours),
        };
        deps.views.add_forecast(&vintage).await?;
        report.issued.push(IssuedForecast {
            device,
            issued_at: issue.start(),
            known_until: history.end().start(),
            hours: config.horizon_hours,
            at_end_of_history: issue < now,
        });
    }
    Ok(report)
}

/// What time it is, or was when what is known was committed: a forecast must not claim to have been issued with what came
/// later.
async fn time_of(deps: &BatchDeps, profile: &StreamProfile, as_of: Option<AsOf>) -> Result<DateTime<Utc>, BatchError> {
    if as_of.is_none() {
        return Ok(deps.clock.now());
    }
    let table = deps.lake.open_table_as_of(&profile.name, LakeTable::Readings, as_of).await?;
    Ok(deps.lake.committed_at(&profile.name, LakeTable::Readings, table.version).await?)
}

/// When a device's forecast is issued: now, unless its history ended before what a forecast of now could reach.
fn issue_of(history: &HourlySeries, now: HourIndex, horizon_hours: u32) -> HourIndex {
    if now.since(history.end()) > i64::from(horizon_hours) { history.end() } else { now }
}

/// The hours ahead that a model says of a history.
fn points(model: &ForecastModel, history: &HourlySeries, issue: HourIndex, horizon_hours: u32) -> Vec<ForecastPoint> {
    (1..=horizon_hours)
        .map(|horizon| {
            let hour = model.predict(&issue_features(history, model.calendar, issue, horizon), horizon);
            ForecastPoint {
                target_time: issue.start() + TimeDelta::hours(i64::from(horizon)),
                horizon_hours: horizon,
                value: hour.value,
                low: hour.low,
                high: hour.high,
            }
        })
        .collect()
}

impl Summary for ForecastReport {
    fn status(&self) -> JobStatus {
        if self.issued.is_empty() { JobStatus::Skipped } else { JobStatus::Succeeded }
    }

    fn changed_rows(&self) -> u64 {
        self.issued.iter().map(|forecast| u64::from(forecast.hours)).sum()
    }

    fn sentence(&self) -> String {
        match (&self.model_id, self.issued.iter().map(|forecast| forecast.issued_at).max()) {
            (None, _) => "no forecast model serves yet: train one".to_owned(),
            (Some(_), None) => "no device has a history to forecast from".to_owned(),
            (Some(_), Some(newest)) => format!("{} devices, the newest as of {newest}", self.issued.len()),
        }
    }
}
