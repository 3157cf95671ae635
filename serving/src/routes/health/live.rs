//! `GET /healthz`: the process answers; a restart would not help with anything else.

use actix_web::{HttpResponse, web};

use crate::state::AppState;

pub(crate) async fn find_liveness(state: web::Data<AppState>) -> HttpResponse {
    let status = if state.readiness.report().stopping { "stopping" } else { "ok" };
    HttpResponse::Ok().json(serde_json::json!({ "status": status }))
}
