//! `GET /metrics`

use actix_web::{HttpResponse, web};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{state::AppState, telemetry};

pub(crate) async fn render_metrics(state: web::Data<AppState>) -> HttpResponse {
    // The job may have run in any process, so what it found is read from the views. While they are away, the last known
    // result stands, and readiness says that they are away.
    if state.metrics.is_some() {
        match state.views.verifications().await {
            Ok(found) => found.iter().for_each(telemetry::verified),
            Err(error) => tracing::debug!(%error, "the last verifications are not known"),
        }
    }
    describe_metrics(state.metrics.as_ref())
}

/// All metrics of the process; nothing where none are recorded.
pub(crate) fn describe_metrics(metrics: Option<&PrometheusHandle>) -> HttpResponse {
    let text = metrics.map(PrometheusHandle::render).unwrap_or_default();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}
