//! Reading a body within its limits of size and patience.

use std::time::Duration;

use actix_web::{HttpRequest, http::header, web};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use super::{ApiError, ErrorCode};

/// How long a sender may pause. Any line that works at all brings something in this time, and one that sends nothing must
/// not hold a connection and half a body for ever.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The whole body, or a refusal as soon as it is over `most_bytes` or stands still.
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
    let too_slow = |_| {
        ApiError::new(ErrorCode::BodyTooSlow, format!("nothing of the body came for {} s", LONGEST_PAUSE.as_secs()))
            .hint("send the whole body at once; nothing of it was taken")
    };
    while let Some(chunk) = tokio::time::timeout(LONGEST_PAUSE, payload.next()).await.map_err(too_slow)? {
        let chunk =
            chunk.map_err(|error| ApiError::new(ErrorCode::InvalidBody, format!("the body broke off: {error}")))?;
        if body.len() + chunk.len() > most_bytes {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
