use kilowatch_shared::anomaly::Severity::{Critical, Minor, Warning};

use crate::support::{TestApp, World, anomaly};

async fn with_five() -> TestApp {
    let world = World::empty().await;
    let found = [
        (0, Minor, "three_sigma"),
        (1, Warning, "three_sigma"),
        (2, Critical, "isolation_forest"),
        (3, Minor, "three_sigma"),
        (4, Critical, "three_sigma"),
    ];
    let anomalies = found.map(|(offset, severity, detector)| anomaly(&world, offset, severity, detector)).into();
    world.with_anomalies(anomalies).await;
    TestApp::over(world).await
}

fn minutes(body: &serde_json::Value) -> Vec<String> {
    let anomalies = body["data"].as_array().unwrap();
    anomalies.iter().map(|anomaly| anomaly["event_time"].as_str().unwrap()[14..16].to_owned()).collect()
}

#[tokio::test]
async fn an_anomaly_says_what_was_seen_expected_and_by_whom() {
    let app = with_five().await;
    let answer = app.get("/api/anomalies?limit=1").await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.json());
}

#[tokio::test]
async fn pages_join_without_a_gap_or_a_repeat() {
    let app = with_five().await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.get(&format!("/api/anomalies?limit=2&cursor={cursor}")).await.json();
        seen.extend(minutes(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
        assert!(seen.len() < 10, "the pages do not end: {seen:?}");
    }
    assert_eq!(seen, ["04", "03", "02", "01", "00"]);
}

#[tokio::test]
async fn filters_narrow_and_severity_means_at_least() {
    let app = with_five().await;
    for (filter, expected) in [
        ("severity=warning", vec!["04", "02", "01"]),
        ("detector=isolation_forest", vec!["02"]),
        ("from=2007-03-10T00:01:00Z&until=2007-03-10T00:03:00Z", vec!["02", "01"]),
        ("device_id=meter-0001&severity=critical&detector=three_sigma", vec!["04"]),
    ] {
        let found = app.get(&format!("/api/anomalies?{filter}")).await.json();
        assert_eq!(minutes(&found), expected, "{filter}");
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let app = with_five().await;
    for bad in [
        "severity=urgent",
        "detector=two_sigma",
        "limit=0",
        "limit=1001",
        "limit=ten",
        "cursor=abc",
        "from=yesterday",
        "from=2007-03-11&until=2007-03-10",
    ] {
        let refused = app.get(&format!("/api/anomalies?{bad}")).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid_parameter"), "{bad}");
    }
}
