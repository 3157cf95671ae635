//! `GET /metrics`

use actix_web::{HttpResponse, web};

use crate::state::AppState;

pub(crate) async fn render_metrics(state: web::Data<AppState>) -> HttpResponse {
    let text = state.metrics.as_ref().map(metrics_exporter_prometheus::PrometheusHandle::render).unwrap_or_default();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}
