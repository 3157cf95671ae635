//! `GET /api/predict` with a query, `POST /api/predict` with a JSON object

use std::collections::BTreeMap;

use actix_web::{HttpMessage as _, HttpRequest, web};
use chrono::{DateTime, Utc};
use kilowatch_shared::{model::ModelManifest, stream::StreamProfile};
use serde::Serialize;
use serde_json::Value;

use super::validate::{FieldProblems, validate};
use crate::{
    http::{ApiError, ErrorCode, Params, read_body, timestamp},
    provenance::{Layer, Provenance},
    routes::{OneBody, usage::profile_offset},
    state::AppState,
};

/// A form has a handful of short fields.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What a model says.
#[derive(Debug)]
pub(crate) struct Estimate {
    pub measure: String,
    pub unit: String,
    pub value: f64,
    pub at: DateTime<Utc>,
    pub serving_since: DateTime<Utc>,
    pub manifest: ModelManifest,
    pub warnings: FieldProblems,
}

#[derive(Debug, Serialize)]
pub(crate) struct EstimateBody {
    measure: String,
    value: f64,
    unit: String,
    #[serde(serialize_with = "timestamp::serialize")]
    time: DateTime<Utc>,
    model_id: String,
    #[serde(serialize_with = "timestamp::serialize")]
    serving_since: DateTime<Utc>,
    /// Root mean squared error of the model on held-out rows, in the same unit.
    rmse: Option<f64>,
    /// Inputs that the model did not see the like of, by field.
    warnings: FieldProblems,
}

impl From<Estimate> for EstimateBody {
    fn from(estimate: Estimate) -> Self {
        Self {
            measure: estimate.measure,
            value: estimate.value,
            unit: estimate.unit,
            time: estimate.at,
            model_id: estimate.manifest.id.to_string(),
            serving_since: estimate.serving_since,
            rmse: estimate.manifest.metrics.map(|metrics| metrics.rmse),
            warnings: estimate.warnings,
        }
    }
}

pub(crate) async fn estimate_by_query(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<web::Json<OneBody<EstimateBody>>, ApiError> {
    let params = Params::parse_any(request.query_string())?;
    let profile = state.profile(&params)?;
    let mut known = vec!["stream", "time"];
    known.extend(profile.forecast.iter().flat_map(|forecast| forecast.estimate_from.iter().map(String::as_str)));
    params.require_known(&known)?;
    let fields = params
        .given()
        .filter(|(name, _)| *name != "stream")
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    answer(&state, profile, fields).await
}

pub(crate) async fn estimate_by_body(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> Result<web::Json<OneBody<EstimateBody>>, ApiError> {
    let params = Params::parse(request.query_string(), &["stream"])?;
    let profile = state.profile(&params)?;
    if request.content_type() != "application/json" {
        let message = "the body has to be application/json";
        return Err(ApiError::new(ErrorCode::UnsupportedMediaType, message).hint("or use GET with a query"));
    }
    let body = read_body(&request, payload, MAX_BODY_BYTES).await?;
    let object: BTreeMap<String, Value> = serde_json::from_slice(&body)
        .map_err(|error| ApiError::new(ErrorCode::InvalidBody, format!("the body is not a JSON object: {error}")))?;
    let fields = object
        .into_iter()
        .filter_map(|(name, value)| match value {
            Value::Null => None,
            Value::String(text) => Some((name, text)),
            other => Some((name, other.to_string())),
        })
        .collect();
    answer(&state, profile, fields).await
}

async fn answer(
    state: &AppState,
    profile: &StreamProfile,
    fields: BTreeMap<String, String>,
) -> Result<web::Json<OneBody<EstimateBody>>, ApiError> {
    let estimate = estimate(state, profile, &fields).await?.map_err(|problems| {
        let named: Vec<String> = problems.iter().map(|(field, problem)| format!("{field} {problem}")).collect();
        ApiError::new(ErrorCode::InvalidFields, named.join("; "))
            .hint("error.fields says what is wrong with each field")
            .fields(problems)
    })?;
    let boundary = state.views.boundary_info(&profile.name).await?.boundary;
    let mut provenance = Provenance::new(Layer::Batch, state.clock.now(), &boundary);
    provenance.lake_version = Some(estimate.manifest.lake_version);
    provenance.model_id = Some(estimate.manifest.id.to_string());
    Ok(web::Json(OneBody { data: estimate.into(), provenance }))
}

/// Refuses a stream that has nothing to estimate.
pub(crate) fn require_estimate(profile: &StreamProfile) -> Result<(), ApiError> {
    if profile.forecast.is_some() {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::NoEstimate, format!("stream {} has nothing to estimate", profile.name))
        .hint("a stream with a [forecast] section has an estimate"))
}

/// Asks the serving model; the inner error is what is wrong with the fields.
pub(crate) async fn estimate(
    state: &AppState,
    profile: &StreamProfile,
    fields: &BTreeMap<String, String>,
) -> Result<Result<Estimate, FieldProblems>, ApiError> {
    require_estimate(profile)?;
    let ready = state.models.serving(&state.views, state.lake.as_ref(), profile).await?;
    let inputs = match validate(fields, ready.model.inputs(), profile_offset(profile), state.clock.now()) {
        Ok(inputs) => inputs,
        Err(problems) => return Ok(Err(problems)),
    };
    let value = ready.model.predict(&inputs.values, inputs.at).map_err(ApiError::internal)?;
    let measure = profile.measures.iter().find(|measure| measure.name == ready.model.target());
    Ok(Ok(Estimate {
        measure: ready.model.target().to_owned(),
        unit: measure.map(|measure| measure.unit.clone()).unwrap_or_default(),
        value,
        at: inputs.at,
        serving_since: ready.served.since,
        manifest: ready.served.manifest,
        warnings: inputs.warnings,
    }))
}
