//! Scripts and styles that the binary brings along. There is no build step and no CDN, so a page works offline.

mod plotly;

use std::sync::OnceLock;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header::{self, ETag, EntityTag, Header as _, IfNoneMatch},
    web::{self, ServiceConfig},
};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{
    http::{ApiError, ErrorCode, READ, read, resource, shorten},
    state::AppState,
};
use plotly::{Packed, pack_plotly};

/// Our own files are revalidated on every page, so that a new version shows at once.
const OWN_FILES_CACHING: &str = "no-cache";

/// Pages ask for the chart library under the version of the binary, so what is kept never goes stale.
const LIBRARY_CACHING: &str = "public, max-age=31536000, immutable";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

struct File {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($name:literal as $content_type:expr),* $(,)?) => {
        [$(File { name: $name, content_type: $content_type, text: include_str!(concat!("../../static/", $name)) }),*]
    };
}

static FILES: [File; 10] = files![
    "app.css" as "text/css; charset=utf-8",
    "api.js" as JAVASCRIPT,
    "benchmark_chart.js" as JAVASCRIPT,
    "benchmarks.js" as JAVASCRIPT,
    "chart.js" as JAVASCRIPT,
    "dashboard.js" as JAVASCRIPT,
    "forecast_chart.js" as JAVASCRIPT,
    "live.js" as JAVASCRIPT,
    "usage_chart.js" as JAVASCRIPT,
    "icon.svg" as "image/svg+xml",
];

/// What is computed once and kept.
#[derive(Default)]
pub(crate) struct Assets {
    plotly: OnceLock<Packed>,
}

/// Declares the files.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/static/plotly.js", READ).route(read().to(send_plotly)))
        .service(resource("/static/{name}", READ).route(read().to(send_file)));
}

async fn send_file(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let file = FILES
        .iter()
        .find(|file| file.name == *name)
        .ok_or_else(|| ApiError::new(ErrorCode::NotFound, format!("no file {:?}", shorten(&name))))?;
    let content = Bytes::from_static(file.text.as_bytes());
    Ok(send(&request, content_tag(&content), OWN_FILES_CACHING, |response| {
        response.content_type(file.content_type).body(content)
    }))
}

async fn send_plotly(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    // Packing takes a good part of a second, once in a process that serves a page.
    let packed = web::block(move || state.assets.plotly.get_or_init(pack_plotly).clone())
        .await
        .map_err(ApiError::internal)?
        .map_err(ApiError::internal)?;
    let takes_gzip = request
        .headers()
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("gzip"));
    let (encoding, body) =
        if takes_gzip { ("gzip", packed.gzip) } else { ("identity", packed.unpack().map_err(ApiError::internal)?) };
    Ok(send(&request, packed.tag, LIBRARY_CACHING, |response| {
        response
            .content_type(JAVASCRIPT)
            // Set in any case, so that the compressing middleware leaves the body alone.
            .insert_header((header::CONTENT_ENCODING, encoding))
            .insert_header((header::VARY, "accept-encoding"))
            .body(body)
    }))
}

/// The file, or word that the client's copy is still right.
fn send(
    request: &HttpRequest,
    tag: String,
    caching: &'static str,
    whole: impl FnOnce(&mut HttpResponseBuilder) -> HttpResponse,
) -> HttpResponse {
    let tag = EntityTag::new_weak(tag);
    let known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Err(_) => false,
    };
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header(ETag(tag)).insert_header((header::CACHE_CONTROL, caching));
    if known { response.finish() } else { whole(&mut response) }
}

fn content_tag(content: &[u8]) -> String {
    let mut tag = hex::encode(Sha256::digest(content));
    tag.truncate(16);
    tag
}
