//! The profile of a stream: topic, fields, roll-ups, detectors, forecast target.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};

use super::{fields, injection::InjectionConfig};
use crate::{
    detect::{DetectorConfig, detector_problems},
    log::check_name,
    model::LocalCalendar,
    position::StreamName,
};

/// Everything that kilowatch has to know of a stream. A user's own stream is one more TOML file of this form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamProfile {
    /// Name of the stream, of its folder in the lake and of the flag `--stream`.
    pub name: StreamName,
    /// One sentence for people.
    pub description: String,
    /// Topic of the log.
    pub topic: String,
    /// Topic that gets the stream's anomalies; it is made if it is missing. Default `anomalies`.
    #[serde(default = "anomalies")]
    pub anomalies_topic: String,
    /// Topic that gets the messages which became no reading; it is made if it is missing. Default `<topic>.dead-letters`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters_topic: Option<String>,
    /// Partitions of the topic where kilowatch creates it, 1 to 1024. Default 1.
    #[serde(default = "one")]
    pub partitions: u32,
    /// Field that names the device; of several, as `["building", "floor"]`, their texts are joined by `/`.
    #[serde(rename = "key_field", with = "one_or_many")]
    pub key_fields: Vec<String>,
    /// Field that holds the event time.
    pub time_field: String,
    /// How the event time is written.
    #[serde(default)]
    pub time_format: TimeFormat,
    /// Zone of the stream's people, as minutes east of UTC: local days and hours, and times that name no zone. Default 0.
    #[serde(default)]
    pub utc_offset_minutes: i32,
    /// Other names under which a payload may carry a field: `{ meter_id = "meterId" }` reads `meter_id` as `meterId`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, String>,
    /// Which end of its interval the event time stamps. Default `start`.
    #[serde(default)]
    pub time_stamps: TimeStamps,
    /// Seconds between two readings of a device in the history; completeness is measured against it.
    pub interval_secs: u32,
    /// The numbers of a reading, in the order in which they are stored.
    pub measures: Vec<Measure>,
    /// The texts of a reading, in the order in which they are stored.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Lengths in seconds of the stored windows, ascending; 3600 must be one of them.
    #[serde(default = "hourly")]
    pub rollup_windows_secs: Vec<u32>,
    /// Tags whose values split the roll-ups.
    #[serde(default)]
    pub rollup_tags: Vec<String>,
    /// Partition of the lake table: `month`, or `day` for dense streams.
    #[serde(default)]
    pub bucket: Bucket,
    /// What judges each reading, in order.
    #[serde(default)]
    pub detectors: Vec<DetectorConfig>,
    /// What is forecast, if anything.
    #[serde(default)]
    pub forecast: Option<ForecastConfig>,
    /// What the stream's simulator injects; without it, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injection: Option<InjectionConfig>,
}

const fn one() -> u32 {
    1
}

fn anomalies() -> String {
    "anomalies".to_owned()
}

fn hourly() -> Vec<u32> {
    vec![3600]
}

/// A number that a reading carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Name in the payload, the lake and the API.
    pub name: String,
    /// Unit, as in `kW`.
    pub unit: String,
    /// Words for charts and tables.
    pub label: String,
}

/// How an event time is written in a payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFormat {
    /// `2007-01-01T00:00:00Z` or with an offset.
    #[default]
    Rfc3339,
    /// Whole milliseconds since 1970 UTC.
    EpochMillis,
    /// Seconds since 1970 UTC, fractions allowed.
    EpochSeconds,
    /// Text as ISO 8601 writes it, with an offset or in the stream's zone (`2024-05-01T12:00:00.25`, a space for the T),
    /// or a number: seconds since 1970 UTC below 10^11, and milliseconds from there on.
    Any,
}

/// Which end of its interval an event time stamps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeStamps {
    /// The first instant of the interval.
    #[default]
    Start,
    /// The first instant after it.
    End,
}

/// Length of a partition of the lake table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// The month of the event time, UTC.
    #[default]
    Month,
    /// Its day.
    Day,
}

/// What is forecast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForecastConfig {
    /// The measure that both models predict.
    pub target: String,
    /// Measures that the estimate takes; the prediction form asks for them.
    pub estimate_from: Vec<String>,
    /// Hours ahead, 1 to 168. Default 48.
    #[serde(default = "two_days")]
    pub horizon_hours: u32,
}

const fn two_days() -> u32 {
    48
}

/// What is wrong with a profile, all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Not TOML, or not of the profile's form; the text names line and key.
    #[error("profile {origin}: {reason}")]
    Syntax {
        /// File or built-in name.
        origin: String,
        /// What the parser said.
        reason: String,
    },
    /// Readable, but contradictory.
    #[error("profile {origin}:\n  {}", problems.join("\n  "))]
    Invalid {
        /// File or built-in name.
        origin: String,
        /// One line a problem: key, value, fix.
        problems: Vec<String>,
    },
}

impl StreamProfile {
    /// Parses and checks a profile; `origin` names it in errors.
    ///
    /// # Errors
    /// [`ProfileError`], with every problem at once.
    pub fn parse(toml_text: &str, origin: &str) -> Result<Self, ProfileError> {
        let profile: Self = toml::from_str(toml_text)
            .map_err(|error| ProfileError::Syntax { origin: origin.to_owned(), reason: error.to_string() })?;
        let problems = profile.problems();
        if problems.is_empty() {
            Ok(profile)
        } else {
            Err(ProfileError::Invalid { origin: origin.to_owned(), problems })
        }
    }

    /// Index of a measure by name.
    #[must_use]
    pub fn measure_index(&self, name: &str) -> Option<usize> {
        self.measures.iter().position(|measure| measure.name == name)
    }

    /// Topic of the messages that became no reading.
    #[must_use]
    pub fn dead_letters_topic(&self) -> Cow<'_, str> {
        match &self.dead_letters_topic {
            Some(topic) => Cow::Borrowed(topic),
            None => Cow::Owned(format!("{}.dead-letters", self.topic)),
        }
    }

    /// The finest stored window in seconds.
    #[must_use]
    pub fn finest_window_secs(&self) -> u32 {
        self.rollup_windows_secs.first().copied().unwrap_or(3600)
    }

    /// The clock on the wall where the stream is measured.
    #[must_use]
    pub fn calendar(&self) -> LocalCalendar {
        LocalCalendar::new(self.utc_offset_minutes)
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        let topics = [&*self.topic, &*self.anomalies_topic, &*self.dead_letters_topic()].map(str::to_owned);
        for (key, topic) in ["topic", "anomalies_topic", "dead_letters_topic"].into_iter().zip(&topics) {
            if let Err(error) = check_name(topic) {
                require(false, format!("{key}: {error}"));
            }
        }
        require(
            topics.iter().collect::<BTreeSet<_>>().len() == topics.len(),
            format!("topic, anomalies_topic, dead_letters_topic = {topics:?}: must be three topics"),
        );
        require((1..=1024).contains(&self.partitions), format!("partitions = {}: must be 1 to 1024", self.partitions));
        require(self.interval_secs > 0, "interval_secs = 0: must be at least 1".to_owned());
        require(!self.measures.is_empty(), "measures: at least one is needed".to_owned());
        for problem in fields::problems(self) {
            require(false, problem);
        }
        require(
            (-14 * 60..=14 * 60).contains(&self.utc_offset_minutes),
            format!("utc_offset_minutes = {}: must be -840 to 840", self.utc_offset_minutes),
        );
        let windows = &self.rollup_windows_secs;
        require(windows.is_sorted_by(|a, b| a < b), format!("rollup_windows_secs = {windows:?}: must be ascending"));
        require(windows.contains(&3600), format!("rollup_windows_secs = {windows:?}: must contain 3600"));
        require(
            windows.iter().all(|w| *w > 0 && 86_400 % w == 0),
            format!("rollup_windows_secs = {windows:?}: each must divide a day"),
        );
        for tag in &self.rollup_tags {
            require(self.tags.contains(tag), format!("rollup_tags: `{tag}` is not one of the tags"));
        }
        if let Some(forecast) = &self.forecast {
            for name in std::iter::once(&forecast.target).chain(&forecast.estimate_from) {
                require(self.measure_index(name).is_some(), format!("forecast: `{name}` is not one of the measures"));
            }
            require(
                !forecast.estimate_from.contains(&forecast.target),
                format!("forecast.estimate_from: `{}` is the target itself", forecast.target),
            );
            require(
                (1..=168).contains(&forecast.horizon_hours),
                format!("forecast.horizon_hours = {}: must be 1 to 168", forecast.horizon_hours),
            );
        }
        problems.extend(detector_problems(self));
        problems.extend(self.injection.iter().flat_map(InjectionConfig::problems));
        problems
    }
}

/// Columns that every lake table has besides measures and tags.
pub const RESERVED_COLUMNS: [&str; 10] = [
    "bucket",
    "device_id",
    "event_time",
    "source",
    "source_partition",
    "source_offset",
    "ingested_at",
    "is_duplicate",
    "superseded",
    "injected",
];

/// `"device_id"` or `["building", "floor"]`.
mod one_or_many {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a field name or a list of field names")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }

    pub(super) fn serialize<S: Serializer>(names: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        match names {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        Ok(match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(name) => vec![name],
            OneOrMany::Many(names) => names,
        })
    }
}
