//! How long what is past stays.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{position::StreamName, views::Aged};
use serde::{Deserialize, Serialize};

/// A century: who keeps something for longer keeps it for ever.
const MOST_DAYS: u32 = 36_500;

/// Days that the lake remembers its own past, and days that lake and views keep what they hold now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Days that older versions of a table stay readable, 1 to 36500; data files that only older ones name are deleted by
    /// a vacuum. Default 7: a week to notice a mistake. Variable `KILOWATCH_RETENTION__VERSIONS_DAYS`.
    pub versions_days: u32,
    /// Days that commits stay in the log of a table, 1 to 36500: views that come back from a backup of that age learn from
    /// it how their readings were judged. Default 30. Variable `KILOWATCH_RETENTION__LOG_DAYS`.
    pub log_days: u32,
    /// Days that readings stay in the lake, by event time, 1 to 36500, 0 for ever; their windows stay in the views. Default 0.
    /// Variable `KILOWATCH_RETENTION__READINGS_DAYS`.
    pub readings_days: u32,
    /// Days that dead letters stay in lake and views after they were seen, 1 to 36500, 0 for ever. Default 0. Variable
    /// `KILOWATCH_RETENTION__DEAD_LETTERS_DAYS`.
    pub dead_letters_days: u32,
    /// Days that published windows stay in the views, 1 to 36500, 0 for ever. Default 0. Variable
    /// `KILOWATCH_RETENTION__WINDOWS_DAYS`.
    pub windows_days: u32,
    /// Days that anomalies stay in the views, by event time, 1 to 36500, 0 for ever. Default 0. Variable
    /// `KILOWATCH_RETENTION__ANOMALIES_DAYS`.
    pub anomalies_days: u32,
    /// Days that forecasts stay in the views after they were issued, 1 to 36500, 0 for ever. Default 0. Variable
    /// `KILOWATCH_RETENTION__FORECASTS_DAYS`.
    pub forecasts_days: u32,
    /// Other limits of one stream, by its name, as `[retention.streams.grid]`. Default none. Variable
    /// `KILOWATCH_RETENTION__STREAMS`, as `{grid={anomalies_days=365}}`.
    pub streams: BTreeMap<String, StreamLimits>,
}

/// Age limits of one stream. What is left out is as `[retention]` says for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamLimits {
    /// As [`RetentionConfig::readings_days`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readings_days: Option<u32>,
    /// As [`RetentionConfig::dead_letters_days`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters_days: Option<u32>,
    /// As [`RetentionConfig::windows_days`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows_days: Option<u32>,
    /// As [`RetentionConfig::anomalies_days`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anomalies_days: Option<u32>,
    /// As [`RetentionConfig::forecasts_days`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecasts_days: Option<u32>,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            versions_days: 7,
            log_days: 30,
            readings_days: 0,
            dead_letters_days: 0,
            windows_days: 0,
            anomalies_days: 0,
            forecasts_days: 0,
            streams: BTreeMap::new(),
        }
    }
}

impl RetentionConfig {
    /// What is wrong with the configuration, one line a problem.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let past = [("versions_days", self.versions_days), ("log_days", self.log_days)]
            .into_iter()
            .filter(|(_, days)| !(1..=MOST_DAYS).contains(days))
            .map(|(key, days)| format!("{key} = {days}: must be 1 to {MOST_DAYS}"));
        let of_all = Aged::ALL.into_iter().map(|aged| (format!("{}_days", aged.as_str()), self.days_of_all(aged)));
        let of_streams = self.streams.iter().flat_map(|(stream, limits)| {
            let days = Aged::ALL.into_iter().filter_map(|aged| Some((aged, limits.days(aged)?)));
            days.map(move |(aged, days)| (format!("streams.{stream}.{}_days", aged.as_str()), days))
        });
        let limits = of_all
            .chain(of_streams)
            .filter(|(_, days)| *days > MOST_DAYS)
            .map(|(key, days)| format!("{key} = {days}: must be 1 to {MOST_DAYS}, or 0 for ever"));
        past.chain(limits).collect()
    }

    /// The instant before which a stream's rows are too old as of `now`, at midnight UTC; `None` if they are kept for ever.
    #[must_use]
    pub fn floor_of(&self, stream: &StreamName, aged: Aged, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let of_stream = self.streams.get(stream.as_str()).and_then(|limits| limits.days(aged));
        let days = of_stream.unwrap_or_else(|| self.days_of_all(aged));
        if days == 0 {
            return None;
        }
        // Each window length divides a day, so that no window lies on both sides.
        let day = now.date_naive().checked_sub_signed(TimeDelta::days(i64::from(days)))?;
        day.and_hms_opt(0, 0, 0).map(|midnight| midnight.and_utc())
    }

    const fn days_of_all(&self, aged: Aged) -> u32 {
        match aged {
            Aged::Readings => self.readings_days,
            Aged::DeadLetters => self.dead_letters_days,
            Aged::Windows => self.windows_days,
            Aged::Anomalies => self.anomalies_days,
            Aged::Forecasts => self.forecasts_days,
        }
    }
}

impl StreamLimits {
    const fn days(&self, aged: Aged) -> Option<u32> {
        match aged {
            Aged::Readings => self.readings_days,
            Aged::DeadLetters => self.dead_letters_days,
            Aged::Windows => self.windows_days,
            Aged::Anomalies => self.anomalies_days,
            Aged::Forecasts => self.forecasts_days,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_that_cannot_be_is_named_with_its_key() {
        assert_eq!(RetentionConfig::default().problems(), Vec::<String>::new());
        let grid = StreamLimits { anomalies_days: Some(99_999), ..StreamLimits::default() };
        let config = RetentionConfig {
            versions_days: 0,
            log_days: 40_000,
            windows_days: 36_501,
            streams: [("grid".to_owned(), grid)].into(),
            ..RetentionConfig::default()
        };
        assert_eq!(
            config.problems(),
            [
                "versions_days = 0: must be 1 to 36500",
                "log_days = 40000: must be 1 to 36500",
                "windows_days = 36501: must be 1 to 36500, or 0 for ever",
                "streams.grid.anomalies_days = 99999: must be 1 to 36500, or 0 for ever",
            ]
        );
    }

    #[test]
    fn a_stream_has_its_own_limit_where_it_names_one_and_may_keep_for_ever_what_others_do_not() {
        let grid = StreamLimits { windows_days: Some(0), anomalies_days: Some(10), ..StreamLimits::default() };
        let config = RetentionConfig {
            windows_days: 3650,
            anomalies_days: 1,
            forecasts_days: 30,
            streams: [("grid".to_owned(), grid)].into(),
            ..RetentionConfig::default()
        };
        let now: DateTime<Utc> = "2026-03-11T17:20:00Z".parse().unwrap();
        let floor = |stream: &str, aged| {
            let floor = config.floor_of(&StreamName::parse(stream).unwrap(), aged, now);
            floor.map(|floor| floor.to_rfc3339())
        };
        assert_eq!(floor("household", Aged::Anomalies).as_deref(), Some("2026-03-10T00:00:00+00:00"));
        assert_eq!(floor("grid", Aged::Anomalies).as_deref(), Some("2026-03-01T00:00:00+00:00"));
        assert_eq!(floor("grid", Aged::Forecasts).as_deref(), Some("2026-02-09T00:00:00+00:00"));
        assert_eq!(floor("grid", Aged::Windows), None);
        assert_eq!(floor("household", Aged::DeadLetters), None);
    }
}
