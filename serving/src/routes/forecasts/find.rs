//! `GET /api/forecasts`

use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use kilowatch_shared::forecast::{ForecastPoint, ForecastVintage};
use serde::Serialize;

use crate::{
    http::{ApiError, Params, timestamp},
    provenance::{Layer, Provenance},
    state::AppState,
};

#[derive(Debug, Serialize)]
pub(crate) struct ForecastBody {
    data: Vec<PointBody>,
    next_cursor: Option<String>,
    /// What issued it and when; null while there is none.
    vintage: Option<VintageBody>,
    provenance: Provenance,
}

#[derive(Debug, Serialize)]
struct VintageBody {
    device_id: String,
    measure: String,
    unit: Option<String>,
    #[serde(serialize_with = "timestamp::serialize")]
    issued_at: DateTime<Utc>,
    model_id: String,
    lake_version: i64,
    interval_level: f64,
}

#[derive(Debug, Serialize)]
struct PointBody {
    #[serde(serialize_with = "timestamp::serialize")]
    target_time: DateTime<Utc>,
    horizon_hours: u32,
    value: f64,
    low: f64,
    high: f64,
}

impl From<&ForecastPoint> for PointBody {
    fn from(point: &ForecastPoint) -> Self {
        Self {
            target_time: point.target_time,
            horizon_hours: point.horizon_hours,
            value: point.value,
            low: point.low,
            high: point.high,
        }
    }
}

impl VintageBody {
    fn new(vintage: &ForecastVintage, unit: Option<String>) -> Self {
        Self {
            device_id: vintage.device.to_string(),
            measure: vintage.measure.clone(),
            unit,
            issued_at: vintage.issued_at,
            model_id: vintage.model_id.to_string(),
            lake_version: vintage.lake_version,
            interval_level: vintage.interval_level,
        }
    }
}

pub(crate) async fn find_forecast(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<ForecastBody>, ApiError> {
    let params = Params::parse(request.query_string(), &["stream", "device_id"])?;
    let profile = state.profile(&params)?;
    let device = params.device()?;
    let vintage = state.views.latest_forecast(&profile.name, device.as_ref()).await?;
    if let (None, Some(device)) = (&vintage, &device) {
        state.require_device(profile, device).await?;
    }
    let boundary = state.views.boundary_info(&profile.name).await?.boundary;
    let layer = Layer::of(vintage.is_some(), false);
    let mut provenance = Provenance::new(layer, state.clock.now(), &boundary);
    // A vintage knew the lake of its issue, which may be older than the boundary.
    provenance.lake_version = vintage.as_ref().map(|vintage| vintage.lake_version);
    provenance.model_id = vintage.as_ref().map(|vintage| vintage.model_id.to_string());
    Ok(web::Json(ForecastBody {
        data: vintage.iter().flat_map(|vintage| &vintage.points).map(PointBody::from).collect(),
        next_cursor: None,
        vintage: vintage.map(|vintage| {
            let unit = profile.measures.iter().find(|measure| measure.name == vintage.measure);
            VintageBody::new(&vintage, unit.map(|measure| measure.unit.clone()))
        }),
        provenance,
    }))
}
