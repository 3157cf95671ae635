//! `GET /api/devices`

use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use kilowatch_shared::position::DeviceId;
use serde::Serialize;

use crate::{
    http::{ApiError, Params, timestamp},
    provenance::{Layer, Provenance},
    routes::ListBody,
    state::AppState,
};

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;

#[derive(Debug, Serialize)]
pub(crate) struct DeviceBody {
    device_id: String,
    /// The newest event time that any layer saw.
    #[serde(serialize_with = "timestamp::serialize")]
    newest_event_time: DateTime<Utc>,
}

pub(crate) async fn list_devices(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<ListBody<DeviceBody>>, ApiError> {
    let params = Params::parse(request.query_string(), &["stream", "limit", "cursor"])?;
    let profile = state.profile(&params)?;
    let limit = params.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
    let after = params.get("cursor", |text| DeviceId::parse(text).map_err(|error| error.rule))?;
    let mut devices = state.views.list_devices(&profile.name, after.as_ref(), limit + 1).await?;
    let more = devices.len() > limit as usize;
    devices.truncate(limit as usize);
    let boundary = state.views.boundary_info(&profile.name).await?.boundary;
    let layer = if devices.is_empty() { Layer::None } else { Layer::Both };
    Ok(web::Json(ListBody {
        next_cursor: devices.last().filter(|_| more).map(|(device, _)| device.to_string()),
        data: devices
            .into_iter()
            .map(|(device, newest)| DeviceBody { device_id: device.into(), newest_event_time: newest })
            .collect(),
        provenance: Provenance::new(layer, state.clock.now(), &boundary),
    }))
}
