//! `GET /api/usage`

use actix_web::{HttpRequest, web};
use kilowatch_shared::stream::StreamProfile;

use super::{
    UsageBody, UsageRequest, UsageWindowBody,
    fold::{Window, completeness, expected_readings, fold},
    query,
};
use crate::{
    http::{ApiError, Params, timestamp},
    provenance::{Layer, Provenance},
    state::AppState,
};

pub(crate) async fn list_usage(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<UsageBody>, ApiError> {
    let params = Params::parse(request.query_string(), &query::KNOWN)?;
    let profile = state.profile(&params)?;
    let asked = UsageRequest::parse(&params, profile, state.data_now(profile).await?)?;
    Ok(web::Json(find_usage(&state, profile, &asked).await?))
}

/// The page that a request asks for.
pub(crate) async fn find_usage(
    state: &AppState,
    profile: &StreamProfile,
    asked: &UsageRequest,
) -> Result<UsageBody, ApiError> {
    let result = state.views.usage(&asked.stored(profile)?).await?;
    if let (true, Some(device)) = (result.windows.is_empty(), &asked.device) {
        state.require_device(profile, device).await?;
    }
    let now = state.clock.now();
    let windows = fold(&result.windows, asked.step, asked.offset);
    let expects =
        |from, until| asked.device.as_ref().map(|_| expected_readings(from, until, now, profile.interval_secs));

    let total = |of: fn(&Window) -> u64| windows.iter().map(of).sum::<u64>();
    let (count, batch_count) = (total(|window| window.partial.count), total(|window| window.batch_count));
    let mut provenance = Provenance::new(Layer::of(batch_count > 0, count > batch_count), now, &result.boundary);
    provenance.completeness = expects(asked.from, asked.until).and_then(|expected| completeness(count, expected));

    Ok(UsageBody {
        stream: profile.name.to_string(),
        device_id: asked.device.as_ref().map(ToString::to_string),
        measure: asked.measure.name.clone(),
        unit: asked.measure.unit.clone(),
        group: asked.group.clone(),
        window: asked.step.name(),
        utc_offset: asked.offset.to_string(),
        data: windows.iter().map(|window| body(window, expects(window.start, window.end))).collect(),
        next_cursor: asked.next.as_ref().map(timestamp::text),
        provenance,
    })
}

fn body(window: &Window, expected: Option<u64>) -> UsageWindowBody {
    let Window { start, end, partial, batch_count } = window;
    UsageWindowBody {
        start: *start,
        end: *end,
        count: partial.count,
        sum: partial.sum,
        mean: partial.mean(),
        min: partial.min,
        max: partial.max,
        expected,
        completeness: expected.and_then(|expected| completeness(partial.count, expected)),
        batch_count: *batch_count,
        speed_count: partial.count.saturating_sub(*batch_count),
    }
}
