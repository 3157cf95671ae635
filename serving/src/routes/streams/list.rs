//! `GET /api/streams`

use actix_web::{HttpRequest, web};
use kilowatch_shared::stream::{DetectorConfig, StreamProfile};
use serde::Serialize;

use crate::{
    http::{ApiError, Params},
    readiness::LiveState,
    state::AppState,
};

/// Streams are configuration, so there is no layer that they could come from.
#[derive(Debug, Serialize)]
pub(crate) struct StreamsBody {
    data: Vec<StreamBody>,
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize)]
struct StreamBody {
    name: String,
    description: String,
    topic: String,
    is_default: bool,
    interval_secs: u32,
    measures: Vec<MeasureBody>,
    detectors: Vec<String>,
    forecast_target: Option<String>,
    /// `live`, `starting`, `stopped` or `elsewhere`.
    state: &'static str,
    state_reason: Option<String>,
    lag_messages: Option<u64>,
}

#[derive(Debug, Serialize)]
struct MeasureBody {
    name: String,
    unit: String,
    label: String,
}

pub(crate) async fn list_streams(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<StreamsBody>, ApiError> {
    Params::parse(request.query_string(), &[])?;
    let report = state.readiness.report();
    let body = |profile: &StreamProfile| {
        let live = report.stream(&profile.name);
        let (state_name, state_reason) = match live.state {
            LiveState::Live => ("live", None),
            LiveState::Starting => ("starting", None),
            LiveState::Stopped { reason } => ("stopped", Some(reason)),
            LiveState::Elsewhere => ("elsewhere", None),
        };
        StreamBody {
            name: profile.name.to_string(),
            description: profile.description.clone(),
            topic: profile.topic.clone(),
            is_default: profile.name == state.default_stream,
            interval_secs: profile.interval_secs,
            measures: profile
                .measures
                .iter()
                .map(|measure| MeasureBody {
                    name: measure.name.clone(),
                    unit: measure.unit.clone(),
                    label: measure.label.clone(),
                })
                .collect(),
            detectors: profile.detectors.iter().map(|detector| DetectorConfig::name(detector).to_owned()).collect(),
            forecast_target: profile.forecast.as_ref().map(|forecast| forecast.target.clone()),
            state: state_name,
            state_reason,
            lag_messages: live.lag_messages,
        }
    };
    Ok(web::Json(StreamsBody { data: state.streams.iter().map(body).collect(), next_cursor: None }))
}
