//! `GET /api/model_swaps`

use actix_web::{HttpRequest, web};
use kilowatch_shared::views::ModelSwap;
use serde::Serialize;

use crate::{
    http::{ApiError, Params, timestamp},
    provenance::{Layer, Provenance},
    routes::ListBody,
    state::AppState,
};

const DEFAULT_LIMIT: u32 = 10;
const MAX_LIMIT: u32 = 50;

#[derive(Debug, Serialize)]
pub(crate) struct ModelSwapBody {
    detector: String,
    /// The first position that the model judges.
    from_position: String,
    model_id: Option<String>,
    replaced_model_id: Option<String>,
    promoted_at: Option<String>,
}

impl From<ModelSwap> for ModelSwapBody {
    fn from(swap: ModelSwap) -> Self {
        Self {
            detector: swap.detector,
            from_position: swap.from.to_string(),
            model_id: swap.model.map(|model| model.to_string()),
            replaced_model_id: swap.replaced.map(|model| model.to_string()),
            promoted_at: swap.promoted_at.as_ref().map(timestamp::text),
        }
    }
}

pub(crate) async fn list_model_swaps(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<ListBody<ModelSwapBody>>, ApiError> {
    let params = Params::parse(request.query_string(), &["stream", "limit"])?;
    let profile = state.profile(&params)?;
    let swaps = state.views.model_swaps(&profile.name, params.limit(DEFAULT_LIMIT, MAX_LIMIT)?).await?;
    let boundary = state.views.boundary_info(&profile.name).await?.boundary;
    Ok(web::Json(ListBody {
        provenance: Provenance::new(Layer::of(false, !swaps.is_empty()), state.clock.now(), &boundary),
        data: swaps.into_iter().map(ModelSwapBody::from).collect(),
        next_cursor: None,
    }))
}
