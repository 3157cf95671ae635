//! What was sent and what came of it, in the views, in the topic and in the API.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    anomaly::Anomaly,
    log::LogRecord,
    position::{Offset, SourcePosition},
    reading::Reading,
    rollup::{Partial, window_start},
    stream::{Decoder, StreamProfile, decode::INJECTED_HEADER},
};
use kilowatch_speed::simulate::quality::{Quality, Scoring};
use serde_json::{Value, json};

use super::{api::Api, system::System};
use crate::group::{cluster::Cluster, topic::read_topic};

const HOUR_SECS: u32 = 3600;

/// A message of the stream's topic, and what it says.
pub struct Sent {
    pub position: SourcePosition,
    pub record: LogRecord,
    pub reading: Reading,
}

/// Everything that is there once the members have stopped.
pub struct Found {
    profile: StreamProfile,
    /// By partition and offset.
    pub sent: Vec<Sent>,
    /// Of the views.
    pub anomalies: Vec<Anomaly>,
    /// Of the topic, by id.
    pub told: BTreeMap<String, Value>,
}

impl Found {
    pub async fn read(cluster: &Cluster) -> Self {
        let decoder = Decoder::new(&cluster.profile);
        let sent = read_topic(&cluster.log, &cluster.profile.topic).await.into_iter().map(|(position, record)| {
            let reading = decoder.decode(record.payload.as_deref().unwrap()).unwrap();
            Sent { position, record, reading }
        });
        let mut anomalies = Vec::new();
        for partition in cluster.views.known_partitions(&cluster.profile.name).await.unwrap() {
            anomalies.extend(cluster.views.anomalies_of(&partition).await.unwrap());
        }
        let told = read_topic(&cluster.log, &cluster.profile.anomalies_topic).await.into_iter().map(|(_, record)| {
            let message: Value = serde_json::from_slice(record.payload.as_deref().unwrap()).unwrap();
            assert_eq!(record.key.as_deref(), message["device_id"].as_str().map(str::as_bytes), "{message}");
            (message["id"].as_str().unwrap().to_owned(), message)
        });
        Self { sent: sent.collect(), anomalies, told: told.collect(), profile: cluster.profile.clone() }
    }

    pub fn readings(&self) -> usize {
        self.sent.len()
    }

    /// `batch verify` finds every message in the lake, and raises every anomaly of the views and no other.
    pub fn stands_up_to_a_replay(&self, cluster: &Cluster) {
        let report = cluster.verify();
        assert_eq!(report["replayed_readings"], self.sent.len(), "{report}");
        assert_eq!(report["anomalies"]["checked"], self.anomalies.len(), "{report}");
        assert!(!self.anomalies.is_empty(), "nothing was found");
    }

    /// Counts, anomalies and usage.
    pub async fn is_what_the_api_shows(&self, api: &Api) {
        let counts = &api.get("counts", &[]).await["data"];
        assert_eq!(counts["speed"], json!({ "readings": self.sent.len(), "duplicates": 0, "dead_letters": 0 }));
        assert_eq!(counts["anomalies"], self.anomalies.len());
        assert_eq!(counts["devices"], self.sent.iter().map(|sent| &sent.reading.device).collect::<BTreeSet<_>>().len());

        let shown: BTreeMap<String, Value> = api
            .list("anomalies", &[("limit", "1000")])
            .await
            .into_iter()
            .map(|shown| (shown["id"].as_str().unwrap().to_owned(), shown))
            .collect();
        assert_eq!(shown.len(), self.anomalies.len());
        for anomaly in &self.anomalies {
            let shown = &shown[&anomaly.id];
            assert_eq!(shown["position"], anomaly.position.to_string());
            assert_eq!(shown["score"], anomaly.verdict.score);
            assert_eq!(shown["episode"].is_null(), anomaly.ended.is_none(), "{shown}");
        }
        self.hours_are_what_was_sent(api).await;
    }

    /// The hours of the first measure over all devices.
    async fn hours_are_what_was_sent(&self, api: &Api) {
        let mut expected: BTreeMap<DateTime<Utc>, Partial> = BTreeMap::new();
        for (time, value) in
            self.sent.iter().filter_map(|sent| Some((sent.reading.event_time, sent.reading.measures[0]?)))
        {
            expected.entry(window_start(time, HOUR_SECS)).or_insert(Partial::EMPTY).merge(&Partial::of(value));
        }
        let (from, measure) = (System::start().to_rfc3339(), self.profile.measures[0].name.clone());
        let last = *expected.keys().next_back().unwrap() + chrono::TimeDelta::hours(1);
        let until = last.to_rfc3339();
        let parameters =
            [("measure", measure.as_str()), ("from", &from), ("until", &until), ("window", "hour"), ("limit", "5000")];
        let shown = api.list("usage", &parameters).await;
        assert_eq!(shown.len(), expected.len());
        for window in shown {
            let start: DateTime<Utc> = window["start"].as_str().unwrap().parse().unwrap();
            let truth = expected[&start];
            assert_eq!(
                (&window["count"], &window["min"], &window["max"]),
                (&json!(truth.count), &json!(truth.min), &json!(truth.max)),
                "{start}"
            );
            let sum = window["sum"].as_f64().unwrap();
            assert!((sum - truth.sum).abs() <= 1e-9 * truth.sum.abs(), "{start}: {sum} is not {}", truth.sum);
        }
    }

    /// The topic tells of each anomaly of the views, and of no other, with the reading as it came. Gives each message
    /// with the anomaly that it tells of.
    pub fn every_anomaly_as_it_was_told(&self) -> Vec<(&Anomaly, &Value)> {
        assert_eq!(self.told.len(), self.anomalies.len(), "the topic and the views disagree");
        let sent: HashMap<&SourcePosition, &Sent> = self.sent.iter().map(|sent| (&sent.position, sent)).collect();
        self.anomalies
            .iter()
            .map(|anomaly| {
                let (told, verdict) = (&self.told[&anomaly.id], &anomaly.verdict);
                let sent = sent[&anomaly.position];
                let original: Value = serde_json::from_slice(sent.record.payload.as_deref().unwrap()).unwrap();
                assert_eq!(told["originalEvent"], original);
                assert_eq!(told["severity"], verdict.severity.as_str().to_uppercase());
                assert_eq!(told["thresholdUsed"], verdict.threshold);
                assert_eq!(told["deviation"], verdict.score - verdict.threshold);
                let words: Vec<&str> = verdict.explanation.measure.split(|c: char| !c.is_alphanumeric()).collect();
                let of_measure = words.join("_").trim_matches('_').to_owned();
                assert!(told["anomalyType"].as_str().is_some_and(|kind| kind.starts_with(&of_measure)), "{told}");
                assert_eq!(told["stream"], self.profile.name.as_str());
                assert_eq!(told["device_id"], sent.reading.device.as_str());
                assert_eq!(told["position"], anomaly.position.to_string());
                (anomaly, told)
            })
            .collect()
    }

    /// How much of what was injected was found, and how often an alarm was right.
    pub fn quality(&self) -> Quality {
        let mut begins: HashMap<SourcePosition, Vec<&Anomaly>> = HashMap::new();
        let mut ends: HashMap<SourcePosition, Vec<&Anomaly>> = HashMap::new();
        for anomaly in &self.anomalies {
            begins.entry(anomaly.position.clone()).or_default().push(anomaly);
            if let Some(end) = &anomaly.ended {
                ends.entry(at(&anomaly.position, end.end_offset)).or_default().push(anomaly);
            }
        }
        let mut scoring = Scoring::default();
        for Sent { position, record, reading } in &self.sent {
            let injected = record.headers.iter().find(|(name, _)| name == INJECTED_HEADER);
            scoring.reading(reading.device.as_str(), injected.map(|(_, kind)| std::str::from_utf8(kind).unwrap()));
            for anomaly in ends.get(position).into_iter().flatten() {
                scoring.alarm_ends(&anomaly.id);
            }
            for anomaly in begins.get(position).into_iter().flatten() {
                scoring.alarm_begins(reading.device.as_str(), &anomaly.id);
            }
        }
        scoring.quality()
    }
}

fn at(position: &SourcePosition, offset: Offset) -> SourcePosition {
    SourcePosition { offset, ..position.clone() }
}
