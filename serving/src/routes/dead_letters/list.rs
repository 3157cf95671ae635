//! `GET /api/dead_letters`

use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use kilowatch_shared::dead_letter::DeadLetter;
use serde::Serialize;

use crate::{
    http::{ApiError, Params, timestamp},
    provenance::{Layer, Provenance},
    routes::ListBody,
    state::AppState,
};

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 200;

/// What is shown of a message; the lake keeps it whole.
const SHOWN_BYTES: usize = 2048;

#[derive(Debug, Serialize)]
pub(crate) struct DeadLetterBody {
    /// `<source>/<partition>@<offset>`.
    position: String,
    #[serde(serialize_with = "timestamp::serialize")]
    seen_at: DateTime<Utc>,
    reason: String,
    /// The first bytes as text; what is not UTF-8 is replaced.
    raw: String,
    raw_bytes: usize,
    key: Option<String>,
}

impl From<DeadLetter> for DeadLetterBody {
    fn from(letter: DeadLetter) -> Self {
        Self {
            position: letter.position.to_string(),
            seen_at: letter.seen_at,
            reason: letter.reason,
            raw: raw_text(&letter.raw, SHOWN_BYTES),
            raw_bytes: letter.raw.len(),
            key: letter.key.map(|key| raw_text(&key, SHOWN_BYTES)),
        }
    }
}

pub(crate) async fn list_dead_letters(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<ListBody<DeadLetterBody>>, ApiError> {
    let params = Params::parse(request.query_string(), &["stream", "limit"])?;
    let profile = state.profile(&params)?;
    let letters = state.views.recent_dead_letters(&profile.name, params.limit(DEFAULT_LIMIT, MAX_LIMIT)?).await?;
    let boundary = state.views.boundary_info(&profile.name).await?.boundary;
    let from_log = letters.iter().any(|letter| letter.position.source.is_log());
    let from_file = letters.iter().any(|letter| !letter.position.source.is_log());
    Ok(web::Json(ListBody {
        data: letters.into_iter().map(DeadLetterBody::from).collect(),
        next_cursor: None,
        provenance: Provenance::new(Layer::of(from_file, from_log), state.clock.now(), &boundary),
    }))
}

/// The first bytes of a message as text.
pub(crate) fn raw_text(raw: &[u8], most_bytes: usize) -> String {
    String::from_utf8_lossy(raw.get(..most_bytes).unwrap_or(raw)).into_owned()
}
