//! `GET /api/benchmarks`

use actix_web::{HttpRequest, web};
use kilowatch_shared::benchmark::{BenchmarkId, KeptBenchmark};
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
    next_cursor: Option<String>,
}

pub(crate) async fn list_benchmarks(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<BenchmarksBody>, ApiError> {
    let params = Params::parse(request.query_string(), &["limit", "cursor"])?;
    let (benchmarks, next_cursor) = find_page(&state, &params, DEFAULT_LIMIT).await?;
    Ok(web::Json(BenchmarksBody { data: benchmarks.into_iter().map(BenchmarkBody::from).collect(), next_cursor }))
}

/// The page that the parameters `limit` and `cursor` ask for, and the cursor of the next one.
pub(crate) async fn find_page(
    state: &AppState,
    params: &Params,
    default_limit: u32,
) -> Result<(Vec<KeptBenchmark>, Option<String>), ApiError> {
    let limit = params.limit(default_limit, MAX_LIMIT)?;
    let cursor = |text: &str| BenchmarkId::parse(text).ok_or("must be a next_cursor of an earlier answer");
    let after = params.get("cursor", cursor)?;
    let mut benchmarks = state.views.list_benchmarks(after, limit + 1).await?;
    let more = benchmarks.len() > limit as usize;
    benchmarks.truncate(limit as usize);
    let next = benchmarks.last().filter(|_| more).map(|last| last.id.to_string());
    Ok((benchmarks, next))
}
