//! Reading a body within its limit.

use actix_web::{HttpRequest, http::header, web};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use super::{ApiError, ErrorCode};

/// The whole body, or a refusal as soon as it is over `most_bytes`.
pub(crate) async fn read_body(
    request: &HttpRequest,
    mut payload: web::Payload,
    most_bytes: usize,
) -> Result<Bytes, ApiError> {
    let too_large = || {
        ApiError::new(ErrorCode::TooLarge, format!("the body is over {most_bytes} bytes"))
            .hint("send it in several requests")
    };
    let encoded = request.headers().get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    if encoded {
        return Err(ApiError::new(ErrorCode::UnsupportedMediaType, "compressed bodies are not read")
            .hint("send the body without Content-Encoding"));
    }
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > most_bytes) {
        return Err(too_large());
    }
    let mut body = BytesMut::with_capacity(declared.unwrap_or(0));
    while let Some(chunk) = payload.next().await {
        let chunk =
            chunk.map_err(|error| ApiError::new(ErrorCode::InvalidBody, format!("the body broke off: {error}")))?;
        if body.len() + chunk.len() > most_bytes {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
