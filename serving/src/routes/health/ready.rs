//! `GET /readyz`: whether requests should come here, and why not.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use kilowatch_shared::log::LogError;
use serde::Serialize;

use crate::{
    readiness::{ReadinessProblem, ReadinessReport},
    state::AppState,
};

/// A probe asks every few seconds; what has not answered by then is away.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize)]
struct ReadyBody {
    status: &'static str,
    problems: Vec<ProblemBody>,
}

#[derive(Debug, Serialize)]
struct ProblemBody {
    component: String,
    reason: String,
}

pub(crate) async fn find_readiness(state: web::Data<AppState>) -> HttpResponse {
    let report = state.readiness.report();
    let stopping = report.stopping;
    describe_readiness(stopping, find_problems(&state, report).await)
}

/// The answer of a process with these problems.
pub(crate) fn describe_readiness(stopping: bool, problems: Vec<ReadinessProblem>) -> HttpResponse {
    let (mut response, status) = match (stopping, problems.is_empty()) {
        (true, _) => (HttpResponse::ServiceUnavailable(), "stopping"),
        (false, false) => (HttpResponse::ServiceUnavailable(), "not_ready"),
        (false, true) => (HttpResponse::Ok(), "ready"),
    };
    let problems = problems
        .into_iter()
        .map(|problem| ProblemBody { component: problem.component, reason: problem.reason })
        .collect();
    response.json(ReadyBody { status, problems })
}

/// What the report says, and what the views and the log do not answer.
pub(crate) async fn find_problems(state: &AppState, report: ReadinessReport) -> Vec<ReadinessProblem> {
    let mut problems = report.problems;
    let mut add = |component: &str, reason: String| {
        problems.push(ReadinessProblem { component: component.to_owned(), reason });
    };
    let late = || format!("no answer within {} s", PATIENCE.as_secs());
    match tokio::time::timeout(PATIENCE, state.views.ping()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => add("views", error.to_string()),
        Err(_) => add("views", late()),
    }
    if let (Some(log), Some(profile)) = (&state.log, state.streams.find(&state.default_stream)) {
        match tokio::time::timeout(PATIENCE, log.source(&profile.topic)).await {
            // A topic is made by the first reading.
            Ok(Ok(_) | Err(LogError::UnknownTopic { .. })) => {}
            Ok(Err(error)) => add("log", error.to_string()),
            Err(_) => add("log", late()),
        }
    }
    problems
}
