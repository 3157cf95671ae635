//! `POST /api/readings`

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use bytes::Bytes;
use kilowatch_shared::{
    log::{LogError, NewRecord, SharedLog},
    position::SourcePosition,
    stream::{Decoder, StreamProfile},
    wording::counted,
};

use super::{
    body::{AppendedBody, PositionBody, RejectedBody},
    split::{BodyFormat, split},
};
use crate::{
    http::{ApiError, ErrorCode, Params, read_body},
    state::AppState,
    telemetry,
};

/// Items of a body after the decoder saw them.
#[derive(Debug, Default)]
struct Checked {
    /// Place in the body of each record.
    indexes: Vec<usize>,
    records: Vec<NewRecord>,
    rejected: Vec<RejectedBody>,
}

pub(crate) async fn append_readings(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let params = Params::parse(request.query_string(), &["stream"])?;
    let profile = state.profile(&params)?;
    let format = BodyFormat::of(request.headers().get(header::CONTENT_TYPE))?;
    let log = state.log.as_ref().ok_or_else(|| {
        ApiError::new(ErrorCode::LogUnavailable, "this process has no log")
            .hint("post to a process that was started with one")
    })?;
    let body = read_body(&request, payload, state.config.max_body_bytes).await?;
    let (decoder, most) = (Decoder::new(profile), state.config.max_readings);
    // A full body takes tens of milliseconds, in which the worker can answer others.
    let checked = web::block(move || split(format, &body, most).map(|items| check(&decoder, items)))
        .await
        .map_err(ApiError::internal)??;
    if checked.records.is_empty() {
        telemetry::readings_posted(&profile.name, 0, checked.rejected.len());
        return Err(none_accepted(&checked.rejected));
    }
    let positions = append(log, profile, &checked.records).await?;
    telemetry::readings_posted(&profile.name, positions.len(), checked.rejected.len());
    let status = if checked.rejected.is_empty() { StatusCode::OK } else { StatusCode::MULTI_STATUS };
    Ok(HttpResponse::build(status).json(serde_json::json!({
        "data": AppendedBody {
            accepted: positions.len(),
            rejected: checked.rejected,
            positions: checked
                .indexes
                .into_iter()
                .zip(&positions)
                .map(|(index, position)| PositionBody { index, position: position.to_string() })
                .collect(),
        }
    })))
}

fn check(decoder: &Decoder, items: Vec<Bytes>) -> Checked {
    let mut checked = Checked::default();
    for (index, item) in items.into_iter().enumerate() {
        match decoder.decode(&item) {
            Ok(reading) => {
                checked.indexes.push(index);
                checked.records.push(NewRecord {
                    key: Some(Bytes::copy_from_slice(reading.device.as_str().as_bytes())),
                    payload: Some(item),
                    headers: Vec::new(),
                });
            }
            Err(error) => checked.rejected.push(RejectedBody { index, reason: error.to_string() }),
        }
    }
    checked
}

/// Appends; makes the topic where it is missing, so that a fresh installation takes its first reading.
async fn append(
    log: &SharedLog,
    profile: &StreamProfile,
    records: &[NewRecord],
) -> Result<Vec<SourcePosition>, LogError> {
    match log.append(&profile.topic, records).await {
        Err(LogError::UnknownTopic { .. }) => {
            log.create_topic(&profile.topic, profile.partitions).await?;
            log.append(&profile.topic, records).await
        }
        answer => answer,
    }
}

fn none_accepted(rejected: &[RejectedBody]) -> ApiError {
    let message = match rejected {
        [only] => format!("the reading is not one of this stream: {}", only.reason),
        [first, ..] => {
            format!(
                "none of the {} is one of this stream; the first: {}",
                counted(rejected.len() as u64, "reading"),
                first.reason
            )
        }
        [] => "the body holds no reading".to_owned(),
    };
    ApiError::new(ErrorCode::ReadingsRejected, message)
        .hint("GET /api/streams lists the measures of each stream")
        .details(serde_json::json!({ "accepted": 0, "rejected": rejected, "positions": [] }))
}
