//! `GET /api/model_info`

use actix_web::{HttpRequest, web};
use kilowatch_shared::{model::ModelKind, stream::StreamProfile, views::ServedModel};

use super::ModelBody;
use crate::{
    http::{ApiError, Params},
    provenance::{Layer, Provenance},
    routes::ListBody,
    state::AppState,
};

pub(crate) async fn find_model_info(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<ListBody<ModelBody>>, ApiError> {
    let params = Params::parse(request.query_string(), &["stream"])?;
    let profile = state.profile(&params)?;
    let served = served_models(&state, profile).await?;
    let boundary = state.views.boundary_info(&profile.name).await?.boundary;
    Ok(web::Json(ListBody {
        provenance: Provenance::new(Layer::of(!served.is_empty(), false), state.clock.now(), &boundary),
        data: served.into_iter().map(|served| ModelBody::new(served, profile)).collect(),
        next_cursor: None,
    }))
}

/// The serving model of every kind that has one.
pub(crate) async fn served_models(state: &AppState, profile: &StreamProfile) -> Result<Vec<ServedModel>, ApiError> {
    let mut served = Vec::new();
    for kind in ModelKind::ALL {
        served.extend(state.views.served_model(&profile.name, kind).await?);
    }
    Ok(served)
}
