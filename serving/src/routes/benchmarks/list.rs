//! `GET /api/benchmarks`

use actix_web::{HttpRequest, web};
use kilowatch_shared::benchmark::{BenchmarkId, BenchmarkPage};
use serde::Serialize;

use super::body::BenchmarkBody;
use crate::{
    http::{ApiError, Params},
    state::AppState,
};

const DEFAULT_LIMIT: u32 = 10;
const MAX_LIMIT: u32 = 100;

/// Machine, versions and times in each of them say where it comes from; no layer of a stream does.
#[derive(Debug, Serialize)]
pub(crate) struct BenchmarksBody {
    data: Vec<BenchmarkBody>,
    /// Numbers of those that another build kept and this one cannot read.
    unreadable: Vec<BenchmarkId>,
    next_cursor: Option<String>,
}

pub(crate) async fn list_benchmarks(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<BenchmarksBody>, ApiError> {
    let params = Params::parse(request.query_string(), &["limit", "cursor"])?;
    let BenchmarkPage { benchmarks, unreadable, next } = find_page(&state, &params, DEFAULT_LIMIT).await?;
    let data = benchmarks.into_iter().map(BenchmarkBody::from).collect();
    Ok(web::Json(BenchmarksBody { data, unreadable, next_cursor: next.map(|next| next.to_string()) }))
}

/// The page that the parameters `limit` and `cursor` ask for.
pub(crate) async fn find_page(
    state: &AppState,
    params: &Params,
    default_limit: u32,
) -> Result<BenchmarkPage, ApiError> {
    let limit = params.limit(default_limit, MAX_LIMIT)?;
    let cursor = |text: &str| BenchmarkId::parse(text).ok_or("must be a next_cursor of an earlier answer");
    let after = params.get("cursor", cursor)?;
    Ok(state.views.list_benchmarks(after, limit).await?)
}
