//! The outermost step of every request.

use std::{error::Error, time::Instant};

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};
use uuid::Uuid;

use super::{ApiError, ErrorCode, headers, host};
use crate::{pages, state::AppState, telemetry};

/// Longest query that is read: every parameter at its limit fits three times.
const MAX_QUERY_BYTES: usize = 4096;

/// Names one request in the answer and in the log.
#[derive(Debug)]
struct RequestId(String);

impl RequestId {
    fn fresh() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

/// Gives the request an id, refuses what must not come in, and writes errors: once into the log, opaque to the client.
pub(crate) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let started = Instant::now();
    let id = RequestId::fresh();
    let mut response = match admit(&request) {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        // `ServiceRequest::into_response` would lose the error.
        Err(refused) => ServiceResponse::new(request.into_parts().0, HttpResponse::from_error(refused)),
    };
    let error = response.response().error().map(|error| describe(error, response.request(), &id));
    if let Some(described) = error {
        response = response.into_response(described);
    }
    let headers = response.headers_mut();
    headers::harden(headers);
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    telemetry::request_answered(route(response.request()), response.status().as_u16(), started.elapsed());
    Ok(response)
}

fn admit(request: &ServiceRequest) -> Result<(), ApiError> {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or(""));
    let allowed = request.app_data::<web::Data<AppState>>().map_or(&[][..], |state| &state.config.allowed_hosts);
    host::require_own(host, allowed)?;
    if request.query_string().len() > MAX_QUERY_BYTES {
        return Err(ApiError::new(
            ErrorCode::QueryTooLong,
            format!("the query has {} bytes, at most {MAX_QUERY_BYTES} are read", request.query_string().len()),
        ));
    }
    Ok(())
}

/// The answer to a failed request, for a program or, outside of `/api`, for a person.
fn describe(error: &actix_web::Error, request: &HttpRequest, id: &RequestId) -> HttpResponse {
    let foreign;
    let error = match error.as_error::<ApiError>() {
        Some(ours) => ours,
        None => {
            foreign = from_framework(error);
            &foreign
        }
    };
    if error.code().status().is_server_error() {
        let cause = error.cause().map(|cause| chain(cause)).unwrap_or_default();
        tracing::error!(
            http.request_id = id.as_str(),
            http.route = route(request),
            http.status = error.code().status().as_u16(),
            error.code = error.code().as_str(),
            error.cause = cause,
            "request failed"
        );
    }
    let wants_page = !request.path().starts_with("/api/")
        && request
            .headers()
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"));
    if wants_page { pages::error_page(error, id.as_str()) } else { error.to_response(id.as_str()) }
}

/// An error that the framework raised before a handler saw the request.
fn from_framework(error: &actix_web::Error) -> ApiError {
    let status = error.as_response_error().status_code();
    match status {
        StatusCode::NOT_FOUND => ApiError::new(ErrorCode::NotFound, "nothing is served here"),
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(ErrorCode::TooLarge, "the body is too large"),
        status if status.is_client_error() => ApiError::new(ErrorCode::InvalidBody, error.to_string()),
        _ => ApiError::internal(error.to_string()),
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The pattern and not the path: a scan of unknown paths must not make new time series.
fn route(request: &HttpRequest) -> String {
    request.match_pattern().unwrap_or_else(|| "unmatched".to_owned())
}
