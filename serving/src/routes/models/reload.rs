//! `POST /api/reload_model`, and `GET /reload_model` as users of the household system know it

use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use kilowatch_shared::views::ServedModel;
use serde::Serialize;

use crate::{
    http::{ApiError, Params, timestamp},
    provenance::{Layer, Provenance},
    routes::OneBody,
    state::AppState,
};

#[derive(Debug, Serialize)]
pub(crate) struct ReloadBody {
    kind: &'static str,
    id: String,
    #[serde(serialize_with = "timestamp::serialize")]
    serving_since: DateTime<Utc>,
    message: &'static str,
}

/// Which model serves is read from the views on every prediction, so there is nothing to reload: this loads the serving
/// one's bytes now rather than at the next prediction, and says which one it is.
pub(crate) async fn reload_model(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<OneBody<ReloadBody>>, ApiError> {
    let params = Params::parse(request.query_string(), &["stream"])?;
    let profile = state.profile(&params)?;
    let ServedModel { manifest, since } =
        state.models.serving(&state.views, state.lake.as_ref(), profile).await?.served;
    let boundary = state.views.boundary_info(&profile.name).await?.boundary;
    let mut provenance = Provenance::new(Layer::Batch, state.clock.now(), &boundary);
    provenance.lake_version = Some(manifest.lake_version);
    provenance.model_id = Some(manifest.id.to_string());
    Ok(web::Json(OneBody {
        data: ReloadBody {
            kind: manifest.kind.as_str(),
            id: manifest.id.to_string(),
            serving_since: since,
            message: "this model serves; a promoted one serves from the next prediction on, without a reload",
        },
        provenance,
    }))
}
