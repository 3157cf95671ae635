use std::time::Duration;

use kilowatch_shared::{
    checkpoint::SourcePartition,
    log::{Log as _, LogRecord, ReadLimit},
    position::Offset,
};

use crate::support::{TestApp, World};

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const PATH: &str = "/api/readings?stream=household";

fn reading(minute: u32) -> String {
    format!(
        r#"{{"device_id":"meter-0001","timestamp":"2007-01-01T00:{minute:02}:00Z","active_power":2.58,"voltage":241.97}}"#
    )
}

async fn logged(app: &TestApp) -> Vec<LogRecord> {
    let partition = SourcePartition::from(&app.world.partition());
    let limit = ReadLimit { records: 1000, bytes: 1 << 20, before: None };
    match app.world.log.read(&partition, Offset::ZERO, limit, Duration::ZERO).await {
        Ok(fetched) => fetched.records,
        // No reading made the topic yet.
        Err(_) => Vec::new(),
    }
}

#[tokio::test]
async fn an_accepted_reading_is_in_the_log_as_it_came() {
    let app = TestApp::start().await;
    let answer = app.post(PATH, JSON, reading(0)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    insta::assert_json_snapshot!(answer.json());
    let records = logged(&app).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].payload.as_deref(), Some(reading(0).as_bytes()));
    assert_eq!(records[0].key.as_deref(), Some(b"meter-0001".as_slice()));
}

#[tokio::test]
async fn an_array_and_lines_are_the_same_readings() {
    let app = TestApp::start().await;
    let array = format!("[{}, {}]", reading(0), reading(1));
    assert_eq!(app.post(PATH, JSON, array).await.json()["data"]["accepted"], 2);
    let lines = format!("{}\n\n{}\n", reading(0), reading(1));
    assert_eq!(app.post(PATH, LINES, lines).await.json()["data"]["accepted"], 2);
    let payloads: Vec<_> = logged(&app).await.into_iter().map(|record| record.payload).collect();
    assert_eq!(payloads[..2], payloads[2..]);
}

#[tokio::test]
async fn a_bad_reading_is_refused_alone() {
    let app = TestApp::start().await;
    let lines = format!("{}\n{{\"device_id\":\"meter-0001\"}}\nnot json\n{}", reading(0), reading(1));
    let answer = app.post(PATH, LINES, lines).await;
    assert_eq!(answer.status, 207);
    insta::assert_json_snapshot!(answer.json());
    assert_eq!(logged(&app).await.len(), 2);
    // Refused is refused: it is no dead letter either.
    assert_eq!(app.get("/api/counts").await.json()["data"]["speed"]["dead_letters"], 0);
}

#[tokio::test]
async fn nothing_is_logged_where_every_reading_is_bad() {
    let app = TestApp::start().await;
    let refused = app.post(PATH, JSON, r#"[{"device_id":"meter-0001"}, 7]"#).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "readings_rejected"));
    assert_eq!(refused.json()["error"]["details"]["rejected"][1]["index"], 1);
    assert!(logged(&app).await.is_empty());
}

#[tokio::test]
async fn a_log_that_is_away_is_no_acceptance() {
    let app = TestApp::start().await;
    app.world.log.fail("the disk is full");
    let refused = app.post(PATH, JSON, reading(0)).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "log_unavailable"));
    assert_eq!(refused.header("retry-after"), "5");
    app.world.log.recover();
    assert!(logged(&app).await.is_empty());
    assert_eq!(app.post(PATH, JSON, reading(0)).await.status, 200);
}

#[tokio::test]
async fn a_process_without_a_log_says_so() {
    let app = TestApp::configured(World::empty().await, |deps, _| deps.log = None).await;
    assert_eq!(app.post(PATH, JSON, reading(0)).await.code(), "log_unavailable");
}

#[tokio::test]
async fn a_body_over_a_limit_is_refused_whole() {
    let app = TestApp::configured(World::empty().await, |_, config| {
        config.max_readings = 2;
        config.max_body_bytes = 1024;
    })
    .await;
    let three = (0..3).map(reading).collect::<Vec<_>>().join("\n");
    let long = format!("{}{}", " ".repeat(2000), reading(0));
    for body in [three, long] {
        let refused = app.post(PATH, LINES, body).await;
        assert_eq!((refused.status, refused.code().as_str()), (413, "too_large"));
    }
    assert!(logged(&app).await.is_empty());
}

#[tokio::test]
async fn what_is_not_readable_at_all_is_refused_with_the_way_out() {
    let app = TestApp::start().await;
    for (content_type, body, code) in [
        ("text/plain", reading(0), "unsupported_media_type"),
        ("application/x-www-form-urlencoded", reading(0), "unsupported_media_type"),
        (JSON, "[{".to_owned(), "invalid_body"),
        (JSON, "[]".to_owned(), "invalid_body"),
        (JSON, String::new(), "invalid_body"),
        (LINES, "\n\n".to_owned(), "invalid_body"),
    ] {
        let refused = app.post(PATH, content_type, body.clone()).await;
        assert_eq!(refused.code(), code, "{content_type} {body:?}");
        assert!(refused.json()["error"]["hint"].is_string(), "{}", refused.text());
    }
    assert_eq!(app.post("/api/readings?stream=hosehold", JSON, reading(0)).await.code(), "unknown_stream");
}
