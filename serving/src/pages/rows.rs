//! Rows of tables that several pages show.

use chrono::FixedOffset;
use kilowatch_shared::{
    anomaly::{Anomaly, Opinion, OpinionState},
    detect::features::FeatureSet,
    stream::StreamProfile,
    wording::counted,
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
    /// On how many readings the expectation rests; empty where it rests on none.
    pub window: String,
    pub score: String,
    pub explanation: String,
    /// What the other detectors said; empty if there is none.
    pub others: String,
    /// How long its episode went on.
    pub episode: String,
}

/// The label and the unit of what was judged: `Output` of `output_mw`, `Output, difference` of `difference(output_mw)`.
fn judged(text: &str, profile: &StreamProfile) -> (String, String) {
    let features = FeatureSet::try_new([text], profile);
    let name = features.as_ref().ok().and_then(|features| features.measure(0));
    let Some(measure) = profile.measures.iter().find(|measure| Some(measure.name.as_str()) == name) else {
        return (text.to_owned(), String::new());
    };
    let label = match text.split_once('(') {
        Some((function, _)) => format!("{}, {}", measure.label, function.replace('_', " ")),
        None => measure.label.clone(),
    };
    (label, measure.unit.clone())
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
        let (measure, unit) = judged(&why.measure, profile);
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
            measure,
            observed: format!("{} {unit}", format::value(why.observed)),
            expected,
            window: match why.window_readings {
                0 => String::new(),
                readings => format!("from {}", counted(readings, "reading")),
            },
            score: format!("{} / {}", format::value(verdict.score), format::value(verdict.threshold)),
            explanation: why.text,
            others: why.others.iter().map(opinion).collect::<Vec<_>>().join(", "),
            episode: anomaly.ended.map_or_else(
                || "open".to_owned(),
                |end| {
                    let readings = if end.readings == 1 { "reading" } else { "readings" };
                    format!("{} {readings} in {}", end.readings, format::duration(end.ended_at - anomaly.event_time))
                },
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use kilowatch_shared::stream::StreamRegistry;

    use super::*;

    #[test]
    fn what_was_judged_is_a_measure_a_feature_of_one_or_a_word_of_another_profile() {
        let streams = StreamRegistry::built_in().unwrap();
        let profile = streams.find(&"power-plant".parse().unwrap()).unwrap();
        let judged = |text| judged(text, profile);
        assert_eq!(judged("output_mw"), ("Output".to_owned(), "MW".to_owned()));
        assert_eq!(judged("rolling_mean(output_mw, 8)"), ("Output, rolling mean".to_owned(), "MW".to_owned()));
        assert_eq!(judged("hour"), ("hour".to_owned(), String::new()));
        assert_eq!(judged("gone"), ("gone".to_owned(), String::new()));
    }
}
