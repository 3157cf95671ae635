//! The figures at the top of the dashboard.

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use kilowatch_shared::{
    anomaly::Severity,
    views::{AnomalyPage, ServedModel},
    wording::{counted, grouped},
};

use super::format;
use crate::{
    calendar::Step,
    routes::{model_info::best_baseline, usage::UsageBody},
};

/// One figure with what it means.
pub(super) struct Tile {
    pub label: String,
    pub value: String,
    pub unit: String,
    pub detail: String,
}

/// What the figures are computed from.
pub(super) struct TileInputs<'a> {
    pub data_now: DateTime<Utc>,
    pub zone: FixedOffset,
    pub measure_label: &'a str,
    pub hours: &'a UsageBody,
    pub days: &'a UsageBody,
    pub anomalies: &'a AnomalyPage,
    pub has_forecast: bool,
    pub model: Option<&'a ServedModel>,
}

pub(super) fn tiles(inputs: &TileInputs<'_>) -> Vec<Tile> {
    let mut tiles = vec![readings_today(inputs), anomalies_of_a_day(inputs.anomalies), latest_hour(inputs)];
    if inputs.has_forecast {
        tiles.extend(forecast_tiles(inputs));
    }
    tiles
}

fn readings_today(inputs: &TileInputs<'_>) -> Tile {
    let midnight = Step::Day.floor(inputs.data_now, inputs.zone);
    let today = inputs.days.data.last().filter(|day| day.start == midnight);
    let complete = today.and_then(|day| day.completeness);
    Tile {
        label: "Readings today".to_owned(),
        value: grouped(today.map_or(0, |day| day.count)),
        unit: String::new(),
        detail: complete
            .map(|share| format!("{} complete since midnight", format::percent(share)))
            .unwrap_or_else(|| "since local midnight".to_owned()),
    }
}

fn anomalies_of_a_day(page: &AnomalyPage) -> Tile {
    let of = |severity| page.anomalies.iter().filter(|anomaly| anomaly.verdict.severity == severity).count() as u64;
    let [critical, warning, minor] =
        [Severity::Critical, Severity::Warning, Severity::Minor].map(|severity| grouped(of(severity)));
    let more = if page.next.is_some() { "+" } else { "" };
    Tile {
        label: "Anomalies in 24 h".to_owned(),
        value: format!("{}{more}", grouped(page.anomalies.len() as u64)),
        unit: String::new(),
        detail: format!("{critical} critical, {warning} warning, {minor} minor"),
    }
}

fn latest_hour(inputs: &TileInputs<'_>) -> Tile {
    let label = format!("{}, latest hour", inputs.measure_label);
    let Some((latest, mean)) = inputs.hours.data.last().and_then(|hour| hour.mean.map(|mean| (hour, mean))) else {
        return Tile { label, value: "–".to_owned(), unit: String::new(), detail: "no reading in 7 days".to_owned() };
    };
    let day_before = inputs.hours.data.iter().find(|hour| hour.start == latest.start - TimeDelta::days(1));
    let detail = match day_before.and_then(|hour| hour.mean) {
        Some(before) => format!("{} {} in the same hour a day before", format::value(before), inputs.hours.unit),
        None => format!("from {}", format::table_time(latest.start, inputs.zone)),
    };
    Tile { label, value: format::value(mean), unit: inputs.hours.unit.clone(), detail }
}

fn forecast_tiles(inputs: &TileInputs<'_>) -> [Tile; 2] {
    let tile = |label: &str, value: Option<String>, unit: &str, detail: String| Tile {
        label: label.to_owned(),
        unit: if value.is_some() { unit.to_owned() } else { String::new() },
        value: value.unwrap_or_else(|| "–".to_owned()),
        detail,
    };
    let manifest = inputs.model.map(|served| &served.manifest);
    let metrics = manifest.and_then(|manifest| manifest.metrics);
    let against = match manifest.and_then(best_baseline) {
        Some((name, baseline)) => {
            format!("{} {} for {}", format::value(baseline.rmse), inputs.hours.unit, name.replace('_', " "))
        }
        None if manifest.is_some() => "no naive method to compare with".to_owned(),
        None => "no model serves yet".to_owned(),
    };
    let held_out = metrics
        .map(|metrics| format!("on {}", counted(metrics.rows, "held-out row")))
        .unwrap_or_else(|| "no model serves yet".to_owned());
    [
        tile("Forecast RMSE", metrics.map(|metrics| format::value(metrics.rmse)), &inputs.hours.unit, against),
        tile("Forecast R²", metrics.map(|metrics| format::value(metrics.r2)), "", held_out),
    ]
}
