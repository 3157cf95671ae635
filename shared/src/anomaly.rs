//! An anomaly: a verdict on one reading, with the reason.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    model::ModelId,
    position::{DeviceId, Offset, SourcePosition, StreamName},
};

/// How much attention an anomaly asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a look when time allows.
    Minor,
    /// Clearly unusual.
    Warning,
    /// Act now.
    Critical,
}

impl Severity {
    /// The name in the API and in the views.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minor => "minor",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Minor, Self::Warning, Self::Critical].into_iter().find(|s| s.as_str() == name)
    }
}

/// Why a detector raised its voice: enough for a person to agree or disagree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The measure that was judged, or the feature of one, as `difference(output_mw)`; the one that weighs most where
    /// several were.
    pub measure: String,
    /// What was observed of it, in the measure's unit.
    pub observed: f64,
    /// Lower end of what was expected.
    pub expected_low: Option<f64>,
    /// Upper end of what was expected.
    pub expected_high: Option<f64>,
    /// How many readings the expectation rests on.
    pub window_readings: u64,
    /// One sentence for people.
    pub text: String,
    /// What the other detectors said of the same reading, in the order of the profile.
    #[serde(default)]
    pub others: Vec<Opinion>,
}

/// What a detector said of a reading that another one alarmed on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opinion {
    /// The detector's name in the profile.
    pub detector: String,
    /// What it came to.
    pub state: OpinionState,
    /// Its score, if it judged.
    pub score: Option<f64>,
    /// The score from which it alarms, if it judged.
    pub threshold: Option<f64>,
}

/// What a detector came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpinionState {
    /// An anomaly, too.
    Alarm,
    /// Nothing unusual.
    Quiet,
    /// It has not seen enough of the device.
    WarmingUp,
    /// The reading has nothing that it looks at.
    Unjudged,
    /// It has no model yet.
    Untrained,
}

impl OpinionState {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Quiet => "quiet",
            Self::WarmingUp => "warming_up",
            Self::Unjudged => "unjudged",
            Self::Untrained => "untrained",
        }
    }
}

/// What one detector says of one reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The detector's name in the profile.
    pub detector: String,
    /// The score; its scale is the detector's own.
    pub score: f64,
    /// The score from which the detector alarms.
    pub threshold: f64,
    /// How urgent.
    pub severity: Severity,
    /// The model that spoke, where one did.
    pub model_id: Option<ModelId>,
    /// Why.
    pub explanation: Explanation,
}

/// Which layer found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyOrigin {
    /// The live fold.
    Speed,
    /// `batch detect` over file rows.
    Batch,
}

/// How an episode ended: the run of alarming readings of which an anomaly is the first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpisodeEnd {
    /// Event time of the reading that ended it.
    pub ended_at: DateTime<Utc>,
    /// Offset of that reading, in the partition of the anomaly.
    pub end_offset: Offset,
    /// How many readings alarmed, the first included.
    pub readings: u64,
    /// The highest of their scores.
    pub peak_score: f64,
}

/// An end, and of which episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndedEpisode {
    /// The anomaly that opened it.
    pub anomaly_id: String,
    /// How it ended.
    pub end: EpisodeEnd,
}

/// A verdict at its place: it opens an episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// SHA-256 of stream, position and detector, in hex: a replay finds the same id.
    pub id: String,
    /// The reading's position.
    pub position: SourcePosition,
    /// The device that was read.
    pub device: DeviceId,
    /// The instant that the reading stands for.
    pub event_time: DateTime<Utc>,
    /// What was found.
    pub verdict: Verdict,
    /// Which layer found it.
    pub origin: AnomalyOrigin,
    /// How its episode ended; `None` while it is open.
    pub ended: Option<EpisodeEnd>,
}

impl Anomaly {
    /// Puts a verdict at its place.
    #[must_use]
    pub fn new(
        stream: &StreamName,
        position: SourcePosition,
        device: DeviceId,
        event_time: DateTime<Utc>,
        verdict: Verdict,
        origin: AnomalyOrigin,
    ) -> Self {
        let id = Self::id_of(stream, &position, &verdict.detector);
        Self { id, position, device, event_time, verdict, origin, ended: None }
    }

    /// The id of what a detector found at a position.
    #[must_use]
    pub fn id_of(stream: &StreamName, position: &SourcePosition, detector: &str) -> String {
        let mut hasher = Sha256::new();
        for part in [stream.as_str(), &position.to_string(), detector] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hex::encode(hasher.finalize())
    }
}

/// What a run of readings brought: anomalies in the order in which they were found, and the ends of episodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// Episodes that began.
    pub anomalies: Vec<Anomaly>,
    /// Episodes that ended, be it that they began in this run or before.
    pub ended: Vec<EndedEpisode>,
}

impl Findings {
    /// Adds what later readings brought.
    pub fn extend(&mut self, later: Self) {
        self.anomalies.extend(later.anomalies);
        self.ended.extend(later.ended);
    }

    /// The anomalies with the ends of their episodes, as the views come to hold them.
    #[must_use]
    pub fn settle(mut self) -> Vec<Anomaly> {
        let mut ends: HashMap<String, EpisodeEnd> =
            self.ended.into_iter().map(|ended| (ended.anomaly_id, ended.end)).collect();
        for anomaly in &mut self.anomalies {
            anomaly.ended = ends.remove(&anomaly.id);
        }
        self.anomalies
    }
}
