//! The JSON routes, one resource a folder. A file parses its parameters, asks the views, and maps the domain's values
//! to bodies, which are the contract of `docs/API.md`.

pub(crate) mod anomalies;
pub(crate) mod counts;
pub(crate) mod dead_letters;
pub(crate) mod devices;
pub(crate) mod forecasts;
pub(crate) mod health;
pub(crate) mod jobs;
mod metrics;
pub(crate) mod model_info;
mod models;
pub(crate) mod predict;
mod readings;
mod streams;
pub(crate) mod usage;

use actix_web::web::{self, ServiceConfig};
use serde::Serialize;

use crate::{http::resource, provenance::Provenance};

/// Declares every route.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/api/anomalies", "GET").route(web::get().to(anomalies::list_anomalies)))
        .service(resource("/api/usage", "GET").route(web::get().to(usage::list_usage)))
        .service(resource("/api/forecasts", "GET").route(web::get().to(forecasts::find_forecast)))
        .service(resource("/api/model_info", "GET").route(web::get().to(model_info::find_model_info)))
        .service(resource("/api/counts", "GET").route(web::get().to(counts::find_counts)))
        .service(
            resource("/api/predict", "GET with a query, or POST with a JSON object")
                .route(web::get().to(predict::estimate_by_query))
                .route(web::post().to(predict::estimate_by_body)),
        )
        .service(resource("/api/devices", "GET").route(web::get().to(devices::list_devices)))
        .service(resource("/api/streams", "GET").route(web::get().to(streams::list_streams)))
        .service(resource("/api/dead_letters", "GET").route(web::get().to(dead_letters::list_dead_letters)))
        .service(resource("/api/jobs", "GET").route(web::get().to(jobs::list_jobs)))
        .service(resource("/api/readings", "POST").route(web::post().to(readings::append_readings)))
        .service(resource("/api/reload_model", "POST").route(web::post().to(models::reload_model)))
        .service(resource("/reload_model", "GET").route(web::get().to(models::reload_model)))
        .service(resource("/healthz", "GET").route(web::get().to(health::find_liveness)))
        .service(resource("/readyz", "GET").route(web::get().to(health::find_readiness)))
        .service(resource("/metrics", "GET").route(web::get().to(metrics::render_metrics)));
}

/// A list and where it comes from.
#[derive(Debug, Serialize)]
pub(crate) struct ListBody<T> {
    pub data: Vec<T>,
    pub next_cursor: Option<String>,
    pub provenance: Provenance,
}

/// One thing and where it comes from.
#[derive(Debug, Serialize)]
pub(crate) struct OneBody<T> {
    pub data: T,
    pub provenance: Provenance,
}
