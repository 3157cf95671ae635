//! What every request passes and every answer leaves with.
//!
//! [`observe`] gives the request an id, refuses foreign hosts, counts and times it, and turns an [`ApiError`] into the
//! one error envelope (or, for a browser, a page); [`Params`] reads the query strictly.

mod body;
mod error;
mod headers;
mod host;
mod observe;
mod params;
pub(crate) mod timestamp;

use actix_web::{HttpRequest, Resource, Route, guard, web};

pub(crate) use body::read_body;
pub(crate) use error::{ApiError, ErrorCode};
pub(crate) use host::is_own_host;
pub(crate) use observe::observe;
pub(crate) use params::{Params, parse_offset, parse_time};

/// Answers a path that nothing serves.
pub(crate) async fn not_found(request: HttpRequest) -> Result<&'static str, ApiError> {
    Err(ApiError::new(ErrorCode::NotFound, format!("nothing is served at {}", shorten(request.path())))
        .hint("the routes are listed in docs/API.md; the dashboard is at /"))
}

/// A resource that names its methods, as the header `Allow` lists them, to whoever uses another one.
pub(crate) fn resource(path: &'static str, allow: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move |request: HttpRequest| async move {
        let message = format!("{path} does not take {}", shorten(request.method().as_str()));
        Err::<&'static str, _>(
            ApiError::new(ErrorCode::MethodNotAllowed, message).hint(format!("use {allow}")).allow(allow),
        )
    }))
}

/// Methods of what can only be read.
pub(crate) const READ: &str = "GET, HEAD";

/// A route of those methods: HEAD is GET whose answer is left without its body by the framework.
pub(crate) fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// At most eighty characters of a text that a client sent, for a message.
pub(crate) fn shorten(text: &str) -> String {
    let mut shown: String = text.chars().take(80).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
