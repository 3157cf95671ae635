//! Rows of tables that several pages show.

use chrono::FixedOffset;
use kilowatch_shared::{
    anomaly::{Anomaly, Opinion, OpinionState},
    stream::StreamProfile,
};

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
    /// What the other detectors said; empty if there is none.
    pub others: String,
    /// Until when its episode went on.
    pub episode: String,
}

/// What another detector said, in few words: `isolation forest alarms (0.81 / 0.61)`.
fn opinion(opinion: &Opinion) -> String {
    let name = opinion.detector.replace('_', " ");
    let verb = match opinion.state {
        OpinionState::Alarm => "alarms",
        OpinionState::Quiet => "is quiet",
        OpinionState::WarmingUp => "is warming up",
        OpinionState::Unjudged => "has nothing to judge",
        OpinionState::Untrained => "has no model yet",
    };
    match (opinion.score, opinion.threshold) {
        (Some(score), Some(threshold)) => {
            format!("{name} {verb} ({} / {})", format::value(score), format::value(threshold))
        }
        _ => format!("{name} {verb}"),
    }
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
            others: why.others.iter().map(opinion).collect::<Vec<_>>().join(", "),
            episode: anomaly.ended.map_or_else(
                || "open".to_owned(),
                |end| {
                    let readings = if end.readings == 1 { "reading" } else { "readings" };
                    let until = format::table_time(end.ended_at, offset);
                    format!("{} {readings}, over at {until}", end.readings)
                },
            ),
        }
    }
}
