//! Anomalies and dead letters as the world outside gets them: functions of the log record and of the verdict on it.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use kilowatch_shared::{
    anomaly::{Anomaly, Explanation},
    dead_letter::DeadLetter,
    log::LogRecord,
    outbox::OutboxEntry,
    position::StreamName,
    stream::StreamProfile,
};
use serde::Serialize;
use serde_json::value::RawValue;

/// Header that names the stream.
pub const STREAM_HEADER: &str = "kilowatch-stream";
/// Header with the position of the record that is told of.
pub const POSITION_HEADER: &str = "kilowatch-position";
/// Header of a dead letter: what is wrong with it.
pub const REASON_HEADER: &str = "kilowatch-reason";
/// Header of a dead letter: the log's timestamp of the message.
pub const SEEN_AT_HEADER: &str = "kilowatch-seen-at";
/// Header in the place of a payload that is larger than a topic takes: its length in bytes.
pub const LEFT_OUT_HEADER: &str = "kilowatch-payload-bytes";
/// The same of a key.
pub const KEY_LEFT_OUT_HEADER: &str = "kilowatch-key-bytes";

/// Kafka's producers and topics take messages of about 1,000,000 bytes by default; this leaves room for what we add. A
/// longer message stays in the lake alone, and whoever listens is told of it without its bytes.
pub const MAX_ORIGINAL_BYTES: usize = 900_000;

/// An anomaly in the words of the grid system, which many consumers know, and after them ours.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AnomalyMessage<'a> {
    anomaly_type: String,
    severity: String,
    original_event: Option<&'a RawValue>,
    threshold_used: f64,
    deviation: f64,
    #[serde(flatten)]
    ours: Ours<'a>,
}

#[derive(Debug, Serialize)]
struct Ours<'a> {
    id: &'a str,
    stream: &'a str,
    device_id: &'a str,
    event_time: String,
    detector: &'a str,
    score: f64,
    model_id: Option<&'a str>,
    explanation: &'a Explanation,
    position: String,
}

/// The entry of an anomaly that was found in `record`.
///
/// # Errors
/// A value that JSON cannot hold, which is a bug.
pub fn of_anomaly(
    profile: &StreamProfile,
    anomaly: &Anomaly,
    record: &LogRecord,
) -> Result<OutboxEntry, serde_json::Error> {
    let verdict = &anomaly.verdict;
    let position = anomaly.position.to_string();
    let message = AnomalyMessage {
        anomaly_type: anomaly_type(&verdict.explanation),
        severity: verdict.severity.as_str().to_ascii_uppercase(),
        original_event: record.payload.as_deref().and_then(as_json),
        threshold_used: verdict.threshold,
        deviation: verdict.score - verdict.threshold,
        ours: Ours {
            id: &anomaly.id,
            stream: profile.name.as_str(),
            device_id: anomaly.device.as_str(),
            event_time: rfc3339(anomaly.event_time),
            detector: &verdict.detector,
            score: verdict.score,
            model_id: verdict.model_id.as_ref().map(|id| id.as_str()),
            explanation: &verdict.explanation,
            position: position.clone(),
        },
    };
    Ok(OutboxEntry {
        position: anomaly.position.clone(),
        id: anomaly.id.clone(),
        topic: profile.anomalies_topic.clone(),
        key: Some(Bytes::copy_from_slice(anomaly.device.as_str().as_bytes())),
        payload: Some(Bytes::from(serde_json::to_vec(&message)?)),
        headers: headers(&profile.name, position),
    })
}

/// The entry of a dead letter: its key and bytes unchanged, a tombstone as one, the reason beside them.
#[must_use]
pub fn of_dead_letter(profile: &StreamProfile, letter: &DeadLetter, record: &LogRecord) -> OutboxEntry {
    let position = letter.position.to_string();
    let id = format!("dead:{position}");
    let mut headers = headers(&profile.name, position);
    headers.push((REASON_HEADER.to_owned(), letter.reason.clone()));
    headers.push((SEEN_AT_HEADER.to_owned(), rfc3339(letter.seen_at)));
    // Brokers measure key and payload together.
    let (mut key, mut payload) = (letter.key.clone(), record.payload.clone());
    if let Some(left_out) = key.take_if(|key| key.len() > MAX_ORIGINAL_BYTES) {
        headers.push((KEY_LEFT_OUT_HEADER.to_owned(), left_out.len().to_string()));
    }
    let room = MAX_ORIGINAL_BYTES - key.as_ref().map_or(0, Bytes::len);
    if let Some(left_out) = payload.take_if(|payload| payload.len() > room) {
        headers.push((LEFT_OUT_HEADER.to_owned(), left_out.len().to_string()));
    }
    let topic = profile.dead_letters_topic().into_owned();
    OutboxEntry { position: letter.position.clone(), id, topic, key, payload, headers }
}

fn headers(stream: &StreamName, position: String) -> Vec<(String, String)> {
    vec![(STREAM_HEADER.to_owned(), stream.as_str().to_owned()), (POSITION_HEADER.to_owned(), position)]
}

/// What is unusual, named by the measure and by the side of what was expected.
fn anomaly_type(explanation: &Explanation) -> String {
    let Explanation { measure, observed, expected_low, expected_high, .. } = explanation;
    let side = match (expected_low, expected_high) {
        (None, Some(_)) => "spike",
        (Some(_), None) => "drop",
        (_, Some(high)) if observed > high => "spike",
        (Some(low), _) if observed < low => "drop",
        _ => "anomaly",
    };
    // A feature becomes a name as well: difference(output_mw) falls as difference_output_mw_drop.
    let mut name = String::with_capacity(measure.len());
    for word in measure.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        name.push_str(word);
        name.push('_');
    }
    name + side
}

/// The reading as it came, byte by byte; `None` where it is too long for a message.
fn as_json(payload: &[u8]) -> Option<&RawValue> {
    (payload.len() <= MAX_ORIGINAL_BYTES).then(|| serde_json::from_slice(payload).ok()).flatten()
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use kilowatch_shared::{
        anomaly::{AnomalyOrigin, Severity, Verdict},
        position::{DeviceId, Offset, SourceId, SourcePosition},
        stream::StreamRegistry,
    };
    use serde_json::{Value, json};

    use super::*;

    const READING: &str = r#"{"meterId":"meter-0001", "timestamp":1706729400000,"voltage":280.0}"#;

    fn profile() -> StreamProfile {
        StreamRegistry::built_in().unwrap().find(&"household".parse().unwrap()).unwrap().clone()
    }

    fn position() -> SourcePosition {
        let source = SourceId::parse("kafka:sensor-readings#1").unwrap();
        SourcePosition { source, partition: 2, offset: Offset::new(7) }
    }

    fn record(payload: Option<Vec<u8>>) -> LogRecord {
        LogRecord {
            offset: Offset::new(7),
            key: Some(Bytes::from_static(b"meter-0001")),
            payload: payload.map(Bytes::from),
            headers: Vec::new(),
            timestamp: DateTime::UNIX_EPOCH,
        }
    }

    fn explanation(observed: f64, expected_low: Option<f64>, expected_high: Option<f64>) -> Explanation {
        serde_json::from_value(json!({
            "measure": "voltage", "observed": observed, "expected_low": expected_low, "expected_high": expected_high,
            "window_readings": 10, "text": "too high",
        }))
        .unwrap()
    }

    fn anomaly() -> Anomaly {
        let verdict = Verdict {
            detector: "moving_average".to_owned(),
            score: 280.0,
            threshold: 250.0,
            severity: Severity::Warning,
            model_id: None,
            explanation: explanation(280.0, None, Some(250.0)),
        };
        let device = DeviceId::parse("meter-0001").unwrap();
        let at = DateTime::from_timestamp(1_706_729_400, 0).unwrap();
        Anomaly::new(&profile().name, position(), device, at, verdict, AnomalyOrigin::Speed)
    }

    #[test]
    fn an_anomaly_speaks_the_words_of_the_grid_system_and_ours() {
        let entry = of_anomaly(&profile(), &anomaly(), &record(Some(READING.into()))).unwrap();
        let text = String::from_utf8(entry.payload.unwrap().to_vec()).unwrap();
        assert!(text.contains(READING), "the reading is not there as it came: {text}");
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(body["anomalyType"], "voltage_spike");
        assert_eq!(body["severity"], "WARNING");
        assert_eq!(body["thresholdUsed"], 250.0);
        assert_eq!(body["deviation"], 30.0);
        assert_eq!(body["originalEvent"]["meterId"], "meter-0001");
        assert_eq!(body["id"], anomaly().id);
        assert_eq!(body["event_time"], "2024-01-31T19:30:00Z");
        assert_eq!(body["position"], "kafka:sensor-readings#1/2@7");
        assert_eq!(body["explanation"]["expected_high"], 250.0);
        assert_eq!((entry.id, entry.topic), (anomaly().id, "anomalies".to_owned()));
        assert_eq!(entry.key.unwrap(), "meter-0001");
    }

    #[test]
    fn the_type_names_the_side_that_was_left() {
        for (observed, low, high, expected) in [
            (9.0, Some(1.0), Some(8.0), "voltage_spike"),
            (0.5, Some(1.0), Some(8.0), "voltage_drop"),
            (2.0, Some(1.0), Some(8.0), "voltage_anomaly"),
            (2.0, None, None, "voltage_anomaly"),
            (249.0, None, Some(250.0), "voltage_spike"),
            (249.0, Some(250.0), None, "voltage_drop"),
        ] {
            assert_eq!(anomaly_type(&explanation(observed, low, high)), expected);
        }
        let of_a_feature =
            Explanation { measure: "difference(voltage)".to_owned(), ..explanation(9.0, Some(1.0), Some(8.0)) };
        assert_eq!(anomaly_type(&of_a_feature), "difference_voltage_spike");
    }

    #[test]
    fn a_score_that_json_has_no_number_for_is_null() {
        let mut anomaly = anomaly();
        anomaly.verdict.score = f64::INFINITY;
        let entry = of_anomaly(&profile(), &anomaly, &record(Some(READING.into()))).unwrap();
        let body: Value = serde_json::from_slice(&entry.payload.unwrap()).unwrap();
        assert!(body["score"].is_null() && body["deviation"].is_null(), "{body}");
    }

    #[test]
    fn a_key_counts_for_what_a_message_may_hold() {
        let with_key = |key: usize, payload: usize| {
            let record = LogRecord { key: Some(vec![b'k'; key].into()), ..record(Some(vec![b'p'; payload])) };
            let entry = of_dead_letter(&profile(), &letter_of(&record), &record);
            (
                entry.key.is_some(),
                entry.payload.is_some(),
                entry.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
            )
        };
        assert!(with_key(10, MAX_ORIGINAL_BYTES - 10).1);
        let (key, payload, headers) = with_key(120_000, 890_000);
        assert!(key && !payload && headers.contains(&LEFT_OUT_HEADER.to_owned()), "{headers:?}");
        let (key, payload, headers) = with_key(MAX_ORIGINAL_BYTES + 1, 10);
        assert!(!key && payload && headers.contains(&KEY_LEFT_OUT_HEADER.to_owned()), "{headers:?}");
    }

    fn letter(payload: Option<Vec<u8>>) -> OutboxEntry {
        let record = record(payload);
        of_dead_letter(&profile(), &letter_of(&record), &record)
    }

    fn letter_of(record: &LogRecord) -> DeadLetter {
        DeadLetter {
            position: position(),
            key: record.key.clone(),
            raw: record.payload.clone().unwrap_or_default(),
            reason: "it is not a reading".to_owned(),
            seen_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_dead_letter_keeps_its_bytes_and_a_tombstone_stays_one() {
        let entry = letter(Some(b"\xff{".to_vec()));
        assert_eq!(entry.payload.as_deref(), Some(b"\xff{".as_slice()));
        assert_eq!(entry.id, "dead:kafka:sensor-readings#1/2@7");
        assert_eq!(entry.topic, "energy-stream.dead-letters");
        assert!(entry.headers.contains(&(REASON_HEADER.to_owned(), "it is not a reading".to_owned())));
        assert_eq!(letter(Some(Vec::new())).payload.as_deref(), Some(b"".as_slice()));
        assert_eq!(letter(None).payload, None);
    }

    #[test]
    fn bytes_that_no_topic_takes_are_told_of_by_their_length() {
        let entry = letter(Some(vec![b'x'; MAX_ORIGINAL_BYTES + 1]));
        assert_eq!(entry.payload, None);
        assert!(entry.headers.contains(&(LEFT_OUT_HEADER.to_owned(), (MAX_ORIGINAL_BYTES + 1).to_string())));
    }
}
