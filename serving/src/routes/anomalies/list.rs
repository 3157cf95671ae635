//! `GET /api/anomalies`

use actix_web::{HttpRequest, web};
use kilowatch_shared::{anomaly::AnomalyOrigin, stream::StreamProfile, views::AnomalyPage};

use super::{AnomalyBody, AnomalyQuery, cursor_text, query};
use crate::{
    http::{ApiError, Params},
    provenance::{Layer, Provenance},
    routes::{ListBody, usage::profile_offset},
    state::AppState,
};

pub(crate) async fn list_anomalies(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<ListBody<AnomalyBody>>, ApiError> {
    let params = Params::parse(request.query_string(), &query::KNOWN)?;
    let profile = state.profile(&params)?;
    let asked = AnomalyQuery::parse(&params, profile, profile_offset(profile))?;
    let page = find_page(&state, profile, &asked).await?;
    let found_by = |origin| page.anomalies.iter().any(|anomaly| anomaly.origin == origin);
    let layer = Layer::of(found_by(AnomalyOrigin::Batch), found_by(AnomalyOrigin::Speed));
    let boundary = state.views.boundary_info(&profile.name).await?.boundary;
    Ok(web::Json(ListBody {
        next_cursor: page.next.as_ref().map(cursor_text),
        data: page.anomalies.into_iter().map(AnomalyBody::from).collect(),
        provenance: Provenance::new(layer, state.clock.now(), &boundary),
    }))
}

/// The page that a request asks for; a device that nobody has seen is an error and not an empty page.
pub(crate) async fn find_page(
    state: &AppState,
    profile: &StreamProfile,
    asked: &AnomalyQuery,
) -> Result<AnomalyPage, ApiError> {
    let page = state.views.list_anomalies(&profile.name, &asked.filter, asked.after.as_ref(), asked.limit).await?;
    if let (true, Some(device)) = (page.anomalies.is_empty(), &asked.filter.device) {
        state.require_device(profile, device).await?;
    }
    Ok(page)
}
