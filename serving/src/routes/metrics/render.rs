//! `GET /metrics`

use actix_web::{HttpResponse, web};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::state::AppState;

pub(crate) async fn render_metrics(state: web::Data<AppState>) -> HttpResponse {
    describe_metrics(state.metrics.as_ref())
}

/// All metrics of the process; nothing where none are recorded.
pub(crate) fn describe_metrics(metrics: Option<&PrometheusHandle>) -> HttpResponse {
    let text = metrics.map(PrometheusHandle::render).unwrap_or_default();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}
