//! A message that became no reading, from the log to the operator's terminal, its topic, and another try.

use std::{path::Path, sync::Arc, time::Duration};

use kilowatch_shared::{
    clock::SystemClock,
    log::{Log, LogRecord, NewRecord, ReadLimit, sqlite::SqliteLog},
    position::Offset,
};
use serde_json::Value;

use crate::process::run;

const GOOD: &[u8] = br#"{"device_id":"meter-0001","timestamp":"2026-01-05T00:00:00Z","active_power":1.5}"#;
const POISON: &[u8] = b"{\"device_id\":\"\x1b[2Jmeter\" not json";

fn json(data: &Path, args: &[&str]) -> Value {
    let output = run(data, &[&["--json"], args].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn log(data: &Path) -> SqliteLog {
    SqliteLog::open(data.join("log.sqlite"), Arc::new(SystemClock)).await.unwrap()
}

async fn first_of(log: &SqliteLog, topic: &str) -> LogRecord {
    let partition = log.partitions(topic).await.unwrap().remove(0);
    let limit = ReadLimit { records: 10, bytes: 1 << 20, before: None };
    log.read(&partition, Offset::ZERO, limit, Duration::from_secs(20)).await.unwrap().records.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_listed_shown_safely_told_of_and_stays_dead_at_a_replay() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let messages = [GOOD, POISON].map(|payload| NewRecord {
        key: Some("meter-0001".into()),
        payload: Some(payload.to_vec().into()),
        headers: Vec::new(),
    });
    {
        let log = log(&data).await;
        log.create_topic("energy-stream", 1).await.unwrap();
        log.append("energy-stream", &messages).await.unwrap();
    }
    let caught_up = run(&data, &["speed", "run", "--until-caught-up"]);
    assert!(caught_up.status.success(), "{}", String::from_utf8_lossy(&caught_up.stderr));

    let listed = json(&data, &["dead-letters", "list"]);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
    assert!(listed["next_cursor"].is_null());
    let position = listed["data"][0]["position"].as_str().unwrap().to_owned();
    assert_eq!(listed["data"][0]["raw_bytes"], POISON.len());
    let reason = listed["data"][0]["reason"].as_str().unwrap().to_uppercase();
    assert_eq!(json(&data, &["dead-letters", "list", "--reason", &reason])["data"], listed["data"]);
    assert_eq!(json(&data, &["dead-letters", "list", "--partition", "3"])["data"], serde_json::json!([]));

    let shown = run(&data, &["dead-letters", "show", &position]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains(&position) && text.contains("\\u{1b}[2Jmeter"), "{text}");
    assert!(!text.contains('\x1b'), "an escape sequence reached the terminal");

    let told = first_of(&log(&data).await, "energy-stream.dead-letters").await;
    assert_eq!(told.payload.as_deref(), Some(POISON));
    assert!(told.headers.iter().any(|(name, value)| name == "kilowatch-position" && *value == position.as_bytes()));

    let replayed = json(&data, &["dead-letters", "replay", &position]);
    assert_eq!((&replayed["letters"], &replayed["still_dead"]), (&1.into(), &1.into()), "{replayed}");
    assert_eq!(json(&data, &["dead-letters", "list", "--open"])["data"].as_array().unwrap().len(), 1);
    assert_eq!(run(&data, &["dead-letters", "show", "log:nowhere:t/0@7"]).status.code(), Some(1));
}
