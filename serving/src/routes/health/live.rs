//! `GET /healthz`: the process answers; a restart would not help with anything else.

use actix_web::{HttpResponse, web};

use crate::{readiness::ReadinessReport, state::AppState};

pub(crate) async fn find_liveness(state: web::Data<AppState>) -> HttpResponse {
    describe_liveness(&state.readiness.report())
}

/// The answer of a process that is in this state.
pub(crate) fn describe_liveness(report: &ReadinessReport) -> HttpResponse {
    let status = if report.stopping { "stopping" } else { "ok" };
    HttpResponse::Ok().json(serde_json::json!({ "status": status }))
}
