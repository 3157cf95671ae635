//! A failed request, for a person.

use actix_web::{HttpResponse, http::header::ContentType};
use askama::Template;

use crate::http::ApiError;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    status: u16,
    reason: &'a str,
    message: String,
    hint: &'a str,
    request_id: &'a str,
}

/// The page; JSON if even that cannot be printed.
pub(crate) fn error_page(error: &ApiError, request_id: &str) -> HttpResponse {
    let status = error.code().status();
    let page = ErrorPage {
        status: status.as_u16(),
        reason: status.canonical_reason().unwrap_or("Error"),
        message: error.public_message(request_id),
        hint: error.public_hint().unwrap_or(""),
        request_id,
    };
    match page.render() {
        Ok(html) => error.head().content_type(ContentType::html()).body(html),
        Err(_) => error.to_response(request_id),
    }
}
