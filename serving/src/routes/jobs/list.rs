//! `GET /api/jobs`

use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use kilowatch_shared::job::JobRun;
use serde::Serialize;

use crate::{
    http::{ApiError, Params, timestamp},
    provenance::{Layer, Provenance},
    routes::ListBody,
    state::AppState,
};

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 200;

#[derive(Debug, Serialize)]
pub(crate) struct JobBody {
    job: String,
    status: &'static str,
    #[serde(serialize_with = "timestamp::serialize")]
    started_at: DateTime<Utc>,
    #[serde(serialize_with = "timestamp::serialize")]
    finished_at: DateTime<Utc>,
    duration_ms: i64,
    rows: u64,
    message: String,
}

impl From<JobRun> for JobBody {
    fn from(run: JobRun) -> Self {
        Self {
            status: run.status.as_str(),
            started_at: run.started_at,
            finished_at: run.finished_at,
            duration_ms: (run.finished_at - run.started_at).num_milliseconds(),
            rows: run.rows,
            job: run.job,
            message: run.message,
        }
    }
}

pub(crate) async fn list_jobs(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<ListBody<JobBody>>, ApiError> {
    let params = Params::parse(request.query_string(), &["stream", "limit"])?;
    let profile = state.profile(&params)?;
    let runs = state.views.recent_job_runs(&profile.name, params.limit(DEFAULT_LIMIT, MAX_LIMIT)?).await?;
    let boundary = state.views.boundary_info(&profile.name).await?.boundary;
    Ok(web::Json(ListBody {
        provenance: Provenance::new(Layer::of(!runs.is_empty(), false), state.clock.now(), &boundary),
        data: runs.into_iter().map(JobBody::from).collect(),
        next_cursor: None,
    }))
}
