//! The JSON routes, one resource a folder. A file parses its parameters, asks the views, and maps the domain's values
//! to bodies, which are the contract of `docs/API.md`.

pub(crate) mod anomalies;
pub(crate) mod benchmarks;
pub(crate) mod counts;
pub(crate) mod dead_letters;
pub(crate) mod devices;
pub(crate) mod forecasts;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod metrics;
pub(crate) mod model_info;
mod model_swaps;
mod models;
mod position_changes;
pub(crate) mod predict;
mod readings;
mod streams;
pub(crate) mod usage;

use actix_web::web::{self, ServiceConfig};
use serde::Serialize;

use crate::{
    http::{READ, read, resource},
    provenance::Provenance,
};

/// Declares every route.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/api/anomalies", READ).route(read().to(anomalies::list_anomalies)))
        .service(resource("/api/usage", READ).route(read().to(usage::list_usage)))
        .service(resource("/api/forecasts", READ).route(read().to(forecasts::find_forecast)))
        .service(resource("/api/model_info", READ).route(read().to(model_info::find_model_info)))
        .service(resource("/api/model_swaps", READ).route(read().to(model_swaps::list_model_swaps)))
        .service(resource("/api/position_changes", READ).route(read().to(position_changes::list_position_changes)))
        .service(resource("/api/counts", READ).route(read().to(counts::find_counts)))
        .service(
            resource("/api/predict", "GET, HEAD, POST")
                .route(read().to(predict::estimate_by_query))
                .route(web::post().to(predict::estimate_by_body)),
        )
        .service(resource("/api/devices", READ).route(read().to(devices::list_devices)))
        .service(resource("/api/streams", READ).route(read().to(streams::list_streams)))
        .service(resource("/api/dead_letters", READ).route(read().to(dead_letters::list_dead_letters)))
        .service(resource("/api/jobs", READ).route(read().to(jobs::list_jobs)))
        .service(resource("/api/benchmarks", READ).route(read().to(benchmarks::list_benchmarks)))
        .service(resource("/api/readings", "POST").route(web::post().to(readings::append_readings)))
        .service(resource("/api/reload_model", "POST").route(web::post().to(models::reload_model)))
        .service(resource("/reload_model", READ).route(read().to(models::reload_model)))
        .service(resource("/healthz", READ).route(read().to(health::find_liveness)))
        .service(resource("/readyz", READ).route(read().to(health::find_readiness)))
        .service(resource("/metrics", READ).route(read().to(metrics::render_metrics)));
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
