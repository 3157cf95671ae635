//! An anomaly as JSON.

use chrono::{DateTime, Utc};
use kilowatch_shared::anomaly::{Anomaly, AnomalyOrigin, EpisodeEnd, Opinion};
use serde::Serialize;

use crate::http::timestamp;

#[derive(Debug, Serialize)]
pub(crate) struct AnomalyBody {
    pub id: String,
    pub device_id: String,
    #[serde(serialize_with = "timestamp::serialize")]
    pub event_time: DateTime<Utc>,
    pub detector: String,
    pub severity: &'static str,
    pub score: f64,
    pub threshold: f64,
    pub model_id: Option<String>,
    pub explanation: ExplanationBody,
    /// How the episode ended that it opened; null while it is open.
    pub episode: Option<EpisodeBody>,
    /// The layer that found it.
    pub origin: &'static str,
    /// The position of the reading, `<source>/<partition>@<offset>`.
    pub position: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct ExplanationBody {
    pub measure: String,
    pub observed: f64,
    pub expected_low: Option<f64>,
    pub expected_high: Option<f64>,
    pub window_readings: u64,
    pub text: String,
    /// What the other detectors said of the same reading.
    pub others: Vec<OpinionBody>,
}

#[derive(Debug, Serialize)]
pub(crate) struct OpinionBody {
    pub detector: String,
    pub state: &'static str,
    pub score: Option<f64>,
    pub threshold: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct EpisodeBody {
    #[serde(serialize_with = "timestamp::serialize")]
    pub ended_at: DateTime<Utc>,
    pub readings: u64,
    pub peak_score: f64,
}

impl From<Opinion> for OpinionBody {
    fn from(opinion: Opinion) -> Self {
        let Opinion { detector, state, score, threshold } = opinion;
        Self { detector, state: state.as_str(), score, threshold }
    }
}

impl From<EpisodeEnd> for EpisodeBody {
    fn from(end: EpisodeEnd) -> Self {
        Self { ended_at: end.ended_at, readings: end.readings, peak_score: end.peak_score }
    }
}

impl From<Anomaly> for AnomalyBody {
    fn from(anomaly: Anomaly) -> Self {
        let verdict = anomaly.verdict;
        Self {
            id: anomaly.id,
            device_id: anomaly.device.into(),
            event_time: anomaly.event_time,
            detector: verdict.detector,
            severity: verdict.severity.as_str(),
            score: verdict.score,
            threshold: verdict.threshold,
            model_id: verdict.model_id.map(|id| id.as_str().to_owned()),
            explanation: ExplanationBody {
                measure: verdict.explanation.measure,
                observed: verdict.explanation.observed,
                expected_low: verdict.explanation.expected_low,
                expected_high: verdict.explanation.expected_high,
                window_readings: verdict.explanation.window_readings,
                text: verdict.explanation.text,
                others: verdict.explanation.others.into_iter().map(OpinionBody::from).collect(),
            },
            episode: anomaly.ended.map(EpisodeBody::from),
            origin: match anomaly.origin {
                AnomalyOrigin::Speed => "speed",
                AnomalyOrigin::Batch => "batch",
            },
            position: anomaly.position.to_string(),
        }
    }
}
