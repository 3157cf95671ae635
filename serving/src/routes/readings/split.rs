//! A body becomes items: the bytes of each reading, exactly as they came.

use actix_web::http::header::HeaderValue;
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::http::{ApiError, ErrorCode, shorten};

/// How a body holds its readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFormat {
    /// An object, or an array of objects.
    Json,
    /// One object a line.
    Lines,
}

impl BodyFormat {
    /// The format that the content type names. Browsers may send these types to a foreign site only after asking, so
    /// a page elsewhere cannot post readings here.
    pub fn of(content_type: Option<&HeaderValue>) -> Result<Self, ApiError> {
        let named = content_type.and_then(|value| value.to_str().ok()).unwrap_or("");
        match named.split(';').next().unwrap_or("").trim().to_ascii_lowercase().as_str() {
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" | "application/ndjson" => Ok(Self::Lines),
            _ => Err(ApiError::new(
                ErrorCode::UnsupportedMediaType,
                format!("Content-Type {:?} is not read here", shorten(named)),
            )
            .hint("send application/json (an object or an array) or application/x-ndjson (one object a line)")),
        }
    }
}

/// The items of a body, at most `most`.
pub(super) fn split(format: BodyFormat, body: &Bytes, most: usize) -> Result<Vec<Bytes>, ApiError> {
    let items = match format {
        BodyFormat::Lines => lines(body, most),
        BodyFormat::Json => elements(body)?,
    };
    if items.is_empty() {
        return Err(ApiError::new(ErrorCode::InvalidBody, "the body holds no reading")
            .hint("send an object, an array of objects, or one object a line"));
    }
    if items.len() > most {
        return Err(ApiError::new(ErrorCode::TooLarge, format!("the body holds over {most} readings"))
            .hint("send them in several requests"));
    }
    Ok(items)
}

/// Lines that are not blank; one more than `most` is enough to know that there are too many.
fn lines(body: &Bytes, most: usize) -> Vec<Bytes> {
    body.split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .take(most + 1)
        .map(|line| body.slice_ref(line))
        .collect()
}

fn elements(body: &Bytes) -> Result<Vec<Bytes>, ApiError> {
    let invalid = |error: serde_json::Error| {
        ApiError::new(ErrorCode::InvalidBody, format!("the body is not JSON: {error}"))
            .hint("for one object a line, send Content-Type: application/x-ndjson")
    };
    if body.trim_ascii_start().starts_with(b"[") {
        let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(invalid)?;
        return Ok(items.into_iter().map(|item| body.slice_ref(item.get().as_bytes())).collect());
    }
    let item: &RawValue = serde_json::from_slice(body).map_err(invalid)?;
    Ok(vec![body.slice_ref(item.get().as_bytes())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(format: BodyFormat, body: &'static str) -> Vec<String> {
        let items = split(format, &Bytes::from_static(body.as_bytes()), 100).unwrap();
        items.iter().map(|item| String::from_utf8(item.to_vec()).unwrap()).collect()
    }

    #[test]
    fn items_keep_their_bytes() {
        assert_eq!(texts(BodyFormat::Json, " [ {\"a\": 1.50 }, 7 ] "), ["{\"a\": 1.50 }", "7"]);
        assert_eq!(texts(BodyFormat::Json, " {\"a\":1}\n"), ["{\"a\":1}"]);
        assert_eq!(texts(BodyFormat::Lines, "{\"a\":1}\r\n\n not json\n"), ["{\"a\":1}", "not json"]);
    }

    #[test]
    fn too_many_or_none_are_refused() {
        let body = Bytes::from_static(b"1\n2\n3");
        assert_eq!(split(BodyFormat::Lines, &body, 2).unwrap_err().code(), ErrorCode::TooLarge);
        for empty in [&b"[]"[..], b"\n \n", b""] {
            let format = if empty == b"[]" { BodyFormat::Json } else { BodyFormat::Lines };
            let error = split(format, &Bytes::from_static(empty), 2).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidBody, "{empty:?}");
        }
    }
}
