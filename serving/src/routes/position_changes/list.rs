//! `GET /api/position_changes`

use actix_web::{HttpRequest, web};
use kilowatch_shared::{checkpoint::OffsetSpan, views::RecordedChange};
use serde::Serialize;

use crate::{
    http::{ApiError, Params, timestamp},
    provenance::{Layer, Provenance},
    routes::ListBody,
    state::AppState,
};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;

#[derive(Debug, Serialize)]
pub(crate) struct PositionChangeBody {
    verb: &'static str,
    source: String,
    partition: u32,
    from_offset: u64,
    to_offset: u64,
    /// Messages that no layer knows.
    gap: Option<GapBody>,
    changed_at: String,
    changed_by: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct GapBody {
    from_offset: u64,
    /// The first offset that is not in it.
    to_offset: u64,
}

impl From<RecordedChange> for PositionChangeBody {
    fn from(change: RecordedChange) -> Self {
        Self {
            verb: change.verb.as_str(),
            source: change.partition.source.to_string(),
            partition: change.partition.partition,
            from_offset: change.moved.from.get(),
            to_offset: change.moved.to.get(),
            gap: change.moved.gap.map(GapBody::from),
            changed_at: timestamp::text(&change.audit.at),
            changed_by: change.audit.by,
            reason: change.audit.reason,
        }
    }
}

impl From<OffsetSpan> for GapBody {
    fn from(gap: OffsetSpan) -> Self {
        Self { from_offset: gap.from.get(), to_offset: gap.to.get() }
    }
}

pub(crate) async fn list_position_changes(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<ListBody<PositionChangeBody>>, ApiError> {
    let params = Params::parse(request.query_string(), &["stream", "limit"])?;
    let profile = state.profile(&params)?;
    let changes = state.views.position_changes(&profile.name, params.limit(DEFAULT_LIMIT, MAX_LIMIT)?).await?;
    let boundary = state.views.boundary_info(&profile.name).await?.boundary;
    Ok(web::Json(ListBody {
        provenance: Provenance::new(Layer::of(false, !changes.is_empty()), state.clock.now(), &boundary),
        data: changes.into_iter().map(PositionChangeBody::from).collect(),
        next_cursor: None,
    }))
}
