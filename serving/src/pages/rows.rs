//! Rows of tables that several pages show.

use chrono::FixedOffset;
use kilowatch_shared::{anomaly::Anomaly, stream::StreamProfile};

use super::format;

/// An anomaly in a table.
pub(super) struct AnomalyRow {
    pub time: String,
    /// For machines: `<time datetime>`.
    pub datetime: String,
    pub device: String,
    pub severity: &'static str,
    pub detector: String,
    pub measure: String,
    pub observed: String,
    pub expected: String,
    pub score: String,
    pub explanation: String,
}

impl AnomalyRow {
    pub fn new(anomaly: Anomaly, profile: &StreamProfile, offset: FixedOffset) -> Self {
        let verdict = anomaly.verdict;
        let why = verdict.explanation;
        let measure = profile.measures.iter().find(|measure| measure.name == why.measure);
        let unit = measure.map_or("", |measure| measure.unit.as_str());
        let expected = match (why.expected_low, why.expected_high) {
            (Some(low), Some(high)) => format!("{} to {} {unit}", format::bound(low), format::bound(high)),
            (Some(low), None) => format!("at least {} {unit}", format::bound(low)),
            (None, Some(high)) => format!("at most {} {unit}", format::bound(high)),
            (None, None) => "–".to_owned(),
        };
        Self {
            time: format::table_time(anomaly.event_time, offset),
            datetime: crate::http::timestamp::text(&anomaly.event_time),
            device: anomaly.device.into(),
            severity: verdict.severity.as_str(),
            detector: verdict.detector.replace('_', " "),
            measure: measure.map_or(why.measure, |measure| measure.label.clone()),
            observed: format!("{} {unit}", format::value(why.observed)),
            expected,
            score: format!("{} / {}", format::value(verdict.score), format::value(verdict.threshold)),
            explanation: why.text,
        }
    }
}
