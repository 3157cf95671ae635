//! The pages: a handler gathers what the JSON routes would answer, a page struct holds it as text, and an askama
//! template prints the struct and computes nothing. Everything is readable without scripts; scripts draw the charts
//! and keep an open page fresh.

mod anomalies;
mod benchmarks;
mod chrome;
mod dashboard;
mod error;
mod format;
mod predict;
mod rows;
mod system;

use actix_web::{
    HttpResponse,
    http::header::ContentType,
    web::{self, ServiceConfig},
};
use askama::Template;

use crate::http::{ApiError, READ, read, resource};

pub(crate) use error::error_page;

/// Declares the pages.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/", READ).route(read().to(dashboard::show_dashboard)))
        .service(resource("/anomalies", READ).route(read().to(anomalies::show_anomalies)))
        .service(
            resource("/predict", "GET, HEAD, POST")
                .route(read().to(predict::show_form))
                .route(web::post().to(predict::submit_form)),
        )
        .service(resource("/system", READ).route(read().to(system::show_system)))
        .service(resource("/benchmarks", READ).route(read().to(benchmarks::show_benchmarks)));
}

fn render(page: &impl Template) -> Result<HttpResponse, ApiError> {
    let html = page.render().map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().content_type(ContentType::html()).body(html))
}
