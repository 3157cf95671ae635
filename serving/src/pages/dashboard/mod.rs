//! `/`: how the meter does now, did in the last week, and will in the next two days.

mod shown;
mod tiles;

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use kilowatch_shared::{
    forecast::ForecastVintage,
    model::ModelKind,
    position::DeviceId,
    stream::StreamProfile,
    views::{AnomalyFilter, BoundaryInfo},
    wording::{counted, grouped},
};

use self::{
    shown::Shown,
    tiles::{Tile, TileInputs, tiles},
};
use super::{
    chrome::{Choice, Chrome, offset},
    format, render,
    rows::AnomalyRow,
};
use crate::{
    calendar::Step,
    http::{ApiError, Params},
    provenance::Layer,
    routes::usage::{UsageBody, UsageRequest, UsageWindowBody, find_usage},
    state::AppState,
};

const RECENT_ANOMALIES: u32 = 12;

/// Anomalies of a day that are counted one by one; beyond them the tile says "more than".
const COUNTED_ANOMALIES: u32 = 1000;

#[derive(Template)]
#[template(path = "dashboard.html")]
struct DashboardPage {
    chrome: Chrome,
    measures: Vec<Choice>,
    windows: Vec<Choice>,
    measure: String,
    measure_label: String,
    unit: String,
    /// The name of the windows that are shown, in the API and for people.
    window: String,
    window_label: String,
    span_label: String,
    has_forecast: bool,
    offset_minutes: i32,
    refresh_ms: u64,
    as_of: String,
    batch_state: String,
    usage_note: String,
    tiles: Vec<Tile>,
    usage: Vec<UsageRow>,
    forecast: Option<ForecastTable>,
    anomalies: Vec<AnomalyRow>,
}

struct UsageRow {
    time: String,
    mean: String,
    min: String,
    max: String,
    count: String,
    complete: String,
    layer: &'static str,
}

struct ForecastTable {
    issued: String,
    model: String,
    level: String,
    lake_version: i64,
    horizon: String,
    rows: Vec<ForecastRow>,
}

struct ForecastRow {
    time: String,
    value: String,
    low: String,
    high: String,
}

pub(super) async fn show_dashboard(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let params = Params::parse(request.query_string(), &["stream", "device_id", "measure", "window"])?;
    let profile = state.profile(&params)?;
    let device = params.device()?;
    if let Some(device) = &device {
        state.require_device(profile, device).await?;
    }
    render(&gather(&state, profile, device, &params).await?)
}

async fn gather(
    state: &AppState,
    profile: &StreamProfile,
    asked: Option<DeviceId>,
    params: &Params,
) -> Result<DashboardPage, ApiError> {
    let (zone, now) = (offset(profile), state.clock.now());
    let chrome = Chrome::gather(state, profile, asked.as_ref(), "Dashboard", "/").await?;
    // With one device there is nothing to merge, and how complete its data is can be said.
    let device = match (asked, chrome.devices.as_slice()) {
        (None, [only]) => DeviceId::parse(&only.value).ok(),
        (asked, _) => asked,
    };
    let data_now = state.data_now(profile).await?;
    let shown = Shown::choose(profile, params)?;
    let read = async |window: &str| {
        usage(
            state,
            profile,
            device.as_ref(),
            &[("measure", params.text("measure")), ("window", Some(window))],
            data_now,
        )
        .await
    };
    let week = read("hour").await?;
    let today = read("day").await?;
    let fine = if shown.step == Step::Hour { None } else { Some(read(&shown.step.name()).await?) };
    let chart = fine.as_ref().unwrap_or(&week);

    let filter = AnomalyFilter { device: device.clone(), ..AnomalyFilter::default() };
    let last_day = AnomalyFilter { from: Some(data_now - TimeDelta::days(1)), ..filter.clone() };
    let counted = state.views.list_anomalies(&profile.name, &last_day, None, COUNTED_ANOMALIES).await?;
    let recent = state.views.list_anomalies(&profile.name, &filter, None, RECENT_ANOMALIES).await?;
    let vintage = state.views.latest_forecast(&profile.name, device.as_ref()).await?;
    let model = state.views.served_model(&profile.name, ModelKind::Forecast).await?;
    let boundary = state.views.boundary_info(&profile.name).await?;

    let measure = profile.measures.iter().find(|measure| measure.name == week.measure);
    Ok(DashboardPage {
        measure: week.measure.clone(),
        measure_label: measure.map_or_else(|| week.measure.clone(), |measure| measure.label.clone()),
        unit: week.unit.clone(),
        offset_minutes: zone.local_minus_utc() / 60,
        refresh_ms: state.config.refresh_secs * 1000,
        as_of: if chrome.devices.is_empty() { "nothing yet".to_owned() } else { format::minute(data_now, zone) },
        batch_state: batch_state(&boundary, now),
        usage_note: usage_note(chart),
        measures: shown.measures(profile, &week.measure),
        windows: shown.windows(profile),
        window: shown.step.name().into_owned(),
        window_label: shown.label(),
        span_label: shown.span(),
        has_forecast: profile.forecast.is_some(),
        tiles: tiles(&TileInputs {
            data_now,
            zone,
            measure_label: measure.map_or("", |measure| &measure.label),
            hours: &week,
            days: &today,
            anomalies: &counted,
            has_forecast: profile.forecast.is_some(),
            model: model.as_ref(),
        }),
        usage: chart.data.iter().rev().map(|window| UsageRow::new(window, zone)).collect(),
        chrome,
        forecast: vintage.map(|vintage| ForecastTable::new(&vintage, zone)),
        anomalies: recent.anomalies.into_iter().map(|anomaly| AnomalyRow::new(anomaly, profile, zone)).collect(),
    })
}

async fn usage(
    state: &AppState,
    profile: &StreamProfile,
    device: Option<&DeviceId>,
    params: &[(&str, Option<&str>)],
    data_now: DateTime<Utc>,
) -> Result<UsageBody, ApiError> {
    let given = params.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_owned())));
    let asked = UsageRequest::parse(&Params::from_pairs(given.collect())?, profile, data_now)?;
    find_usage(state, profile, &UsageRequest { device: device.cloned(), ..asked }).await
}

fn batch_state(info: &BoundaryInfo, now: DateTime<Utc>) -> String {
    match (info.boundary.lake_version, info.published_at) {
        (Some(version), Some(at)) => {
            format!("batch has seen lake version {version}, published {}", format::ago(at, now))
        }
        (Some(version), None) => format!("batch has seen lake version {version}"),
        (None, _) => "batch has not published yet; all of it is live".to_owned(),
    }
}

fn usage_note(week: &UsageBody) -> String {
    match week.provenance.completeness {
        Some(share) => format!("{} of the expected readings arrived", format::percent(share)),
        None => "all devices together".to_owned(),
    }
}

impl UsageRow {
    fn new(window: &UsageWindowBody, zone: FixedOffset) -> Self {
        Self {
            time: format::table_time(window.start, zone),
            mean: window.mean.map(format::value).unwrap_or_default(),
            min: format::value(window.min),
            max: format::value(window.max),
            count: grouped(window.count),
            complete: window.completeness.map_or_else(|| "–".to_owned(), format::percent),
            layer: Layer::of(window.batch_count > 0, window.speed_count > 0).as_str(),
        }
    }
}

impl ForecastTable {
    fn new(vintage: &ForecastVintage, zone: FixedOffset) -> Self {
        Self {
            issued: format::minute(vintage.issued_at, zone),
            model: format::short_id(vintage.model_id.as_str()),
            level: format::percent(vintage.interval_level),
            lake_version: vintage.lake_version,
            horizon: counted(vintage.points.len() as u64, "hour"),
            rows: vintage
                .points
                .iter()
                .map(|point| ForecastRow {
                    time: format::table_time(point.target_time, zone),
                    value: format::value(point.value),
                    low: format::value(point.low),
                    high: format::value(point.high),
                })
                .collect(),
        }
    }
}
