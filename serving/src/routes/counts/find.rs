//! `GET /api/counts`

use actix_web::{HttpRequest, web};
use kilowatch_shared::{stream::StreamProfile, views::LayerCounts};
use serde::Serialize;

use crate::{
    http::{ApiError, Params},
    provenance::{Layer, Provenance},
    routes::OneBody,
    state::AppState,
};

#[derive(Debug, Serialize)]
pub(crate) struct CountsBody {
    /// What the live messages became, each exactly one of the three.
    speed: SpeedCountsBody,
    /// Values of the first measure in the batch views.
    batch_values: u64,
    anomalies: u64,
    devices: u64,
    forecasts: u64,
    models: u64,
}

#[derive(Debug, Serialize)]
struct SpeedCountsBody {
    readings: u64,
    duplicates: u64,
    dead_letters: u64,
}

impl From<LayerCounts> for CountsBody {
    fn from(counts: LayerCounts) -> Self {
        Self {
            speed: SpeedCountsBody {
                readings: counts.speed.readings,
                duplicates: counts.speed.duplicates,
                dead_letters: counts.speed.dead_letters,
            },
            batch_values: counts.batch_values,
            anomalies: counts.anomalies,
            devices: counts.devices,
            forecasts: counts.forecasts,
            models: counts.models,
        }
    }
}

pub(crate) async fn find_counts(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<OneBody<CountsBody>>, ApiError> {
    let params = Params::parse(request.query_string(), &["stream"])?;
    let profile = state.profile(&params)?;
    let counts = count_layers(&state, profile).await?;
    let boundary = state.views.boundary_info(&profile.name).await?.boundary;
    let layer = Layer::of(counts.batch_values > 0, counts.speed.total() > 0);
    Ok(web::Json(OneBody {
        data: CountsBody::from(counts),
        provenance: Provenance::new(layer, state.clock.now(), &boundary),
    }))
}

/// The counts of a stream, by its first measure and finest window.
pub(crate) async fn count_layers(state: &AppState, profile: &StreamProfile) -> Result<LayerCounts, ApiError> {
    let measure = profile.measures.first().map_or("", |measure| measure.name.as_str());
    Ok(state.views.counts(&profile.name, measure, profile.finest_window_secs()).await?)
}
