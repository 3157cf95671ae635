//! `/predict`: the estimate as a form. It works without scripts, keeps what was typed, and names every bad field.

use std::collections::BTreeMap;

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use askama::Template;
use chrono::FixedOffset;
use kilowatch_shared::stream::StreamProfile;

use super::{
    chrome::{Chrome, offset},
    format, render,
};
use crate::{
    http::{ApiError, ErrorCode, Params, read_body},
    routes::predict::{Estimate, FieldProblems, estimate, require_estimate},
    state::AppState,
};

const MAX_FORM_BYTES: usize = 64 * 1024;

#[derive(Template)]
#[template(path = "predict.html")]
struct PredictPage {
    chrome: Chrome,
    fields: Vec<Field>,
    time: Field,
    problem_count: usize,
    answer: Option<Answer>,
    /// Why there can be no answer at all.
    unavailable: String,
}

/// An input of the form.
struct Field {
    name: String,
    label: String,
    unit: String,
    value: String,
    hint: String,
    problem: String,
}

struct Answer {
    value: String,
    unit: String,
    measure: String,
    time: String,
    error: String,
    model: String,
    since: String,
    warnings: Vec<String>,
}

pub(super) async fn show_form(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let params = Params::parse(request.query_string(), &["stream"])?;
    let profile = state.profile(&params)?;
    let mut page = blank(&state, profile, &BTreeMap::new()).await?;
    page.time.value = local_minute(&state, offset(profile));
    render(&page)
}

pub(super) async fn submit_form(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    if request.content_type() != "application/x-www-form-urlencoded" {
        let message = "the form has to be application/x-www-form-urlencoded";
        return Err(ApiError::new(ErrorCode::UnsupportedMediaType, message)
            .hint("programs use POST /api/predict with a JSON object"));
    }
    let body = read_body(&request, payload, MAX_FORM_BYTES).await?;
    let text =
        std::str::from_utf8(&body).map_err(|_| ApiError::new(ErrorCode::InvalidBody, "the form is not UTF-8"))?;
    let params = Params::parse_any(text)?;
    let profile = state.profile(&params)?;
    let typed: BTreeMap<String, String> = params
        .given()
        .filter(|(name, _)| *name != "stream")
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut page = blank(&state, profile, &typed).await?;
    match estimate(&state, profile, &typed).await {
        Ok(Ok(estimate)) => page.answer = Some(Answer::new(estimate, profile)),
        Ok(Err(problems)) => page.mark(problems),
        Err(error) if error.code() == ErrorCode::NoModel => page.unavailable = error.public_message(""),
        Err(error) => return Err(error),
    }
    let mut response = render(&page)?;
    if page.problem_count > 0 {
        *response.status_mut() = ErrorCode::InvalidFields.status();
    }
    Ok(response)
}

/// The form with what was typed. Hints come from the serving model, if there is one.
async fn blank(
    state: &AppState,
    profile: &StreamProfile,
    typed: &BTreeMap<String, String>,
) -> Result<PredictPage, ApiError> {
    require_estimate(profile)?;
    let (ranges, unavailable) = match state.models.serving(&state.views, state.lake.as_ref(), profile).await {
        Ok(ready) => (ready.model.inputs().to_vec(), String::new()),
        Err(error) if error.code() == ErrorCode::NoModel => (Vec::new(), error.public_message("")),
        Err(error) => return Err(error),
    };
    let inputs = profile.forecast.iter().flat_map(|forecast| &forecast.estimate_from);
    let field = |name: &String| {
        let measure = profile.measures.iter().find(|measure| measure.name == *name);
        let range = ranges.iter().find(|range| range.name == *name);
        Field {
            label: measure.map_or_else(|| name.clone(), |measure| measure.label.clone()),
            unit: measure.map(|measure| measure.unit.clone()).unwrap_or_default(),
            value: typed.get(name).cloned().unwrap_or_default(),
            hint: range
                .map(|range| format!("usually {} to {}", format::bound(range.min), format::bound(range.max)))
                .unwrap_or_default(),
            problem: String::new(),
            name: name.clone(),
        }
    };
    Ok(PredictPage {
        fields: inputs.map(field).collect(),
        time: Field {
            name: "time".to_owned(),
            label: "Time".to_owned(),
            unit: format::zone(offset(profile)),
            value: typed.get("time").cloned().unwrap_or_default(),
            hint: "hour, weekday and month count".to_owned(),
            problem: String::new(),
        },
        chrome: Chrome::gather(state, profile, None, "Estimate", "/predict").await?,
        problem_count: 0,
        answer: None,
        unavailable,
    })
}

impl PredictPage {
    fn mark(&mut self, problems: FieldProblems) {
        self.problem_count = problems.len();
        for field in self.fields.iter_mut().chain([&mut self.time]) {
            field.problem = problems.get(&field.name).cloned().unwrap_or_default();
        }
    }
}

impl Answer {
    fn new(estimate: Estimate, profile: &StreamProfile) -> Self {
        let label = |name: &str| {
            profile
                .measures
                .iter()
                .find(|measure| measure.name == name)
                .map_or(name, |measure| &measure.label)
                .to_owned()
        };
        Self {
            value: format::value(estimate.value),
            measure: label(&estimate.measure),
            time: format::minute(estimate.at, offset(profile)),
            error: estimate.manifest.metrics.map(|metrics| format::value(metrics.rmse)).unwrap_or_default(),
            model: format::short_id(estimate.manifest.id.as_str()),
            since: format::minute(estimate.serving_since, offset(profile)),
            warnings: estimate.warnings.iter().map(|(field, warning)| format!("{}: {warning}", label(field))).collect(),
            unit: estimate.unit,
        }
    }
}

/// Now, as a browser's field for local times writes it.
fn local_minute(state: &AppState, offset: FixedOffset) -> String {
    state.clock.now().with_timezone(&offset).format("%Y-%m-%dT%H:%M").to_string()
}
