use kilowatch_serving::{ReadinessProblem, ReadinessReport};

use crate::support::TestApp;

#[tokio::test]
async fn a_server_whose_stores_answer_is_ready() {
    let app = TestApp::start().await;
    let ready = app.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["status"]), (200, &"ready".into()));
    assert_eq!(app.get("/healthz").await.json()["status"], "ok");
}

#[tokio::test]
async fn what_is_wrong_is_named_and_does_not_ask_for_a_restart() {
    let app = TestApp::start().await;
    app.world.log.fail("the disk is full");
    app.world.probe.set(ReadinessReport {
        problems: vec![ReadinessProblem { component: "speed".into(), reason: "partition 0 is stopped".into() }],
        ..ReadinessReport::default()
    });
    let ready = app.get("/readyz").await;
    assert_eq!(ready.status, 503);
    let problems = ready.json()["problems"].to_string();
    assert!(problems.contains("partition 0 is stopped") && problems.contains("the disk is full"), "{problems}");
    assert_eq!(app.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_process_on_its_way_out_takes_no_new_requests() {
    let app = TestApp::start().await;
    app.world.probe.set(ReadinessReport { stopping: true, ..ReadinessReport::default() });
    let ready = app.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["status"]), (503, &"stopping".into()));
    assert_eq!(app.get("/healthz").await.json()["status"], "stopping");
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_not_by_path() {
    let app = TestApp::start().await;
    app.get("/api/counts").await;
    app.get("/no/such/path/4711").await;
    let metrics = app.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"), "{:?}", metrics.headers);
    let text = metrics.text();
    assert!(text.contains(r#"kilowatch_http_requests_total{route="/api/counts",status="200"}"#), "{text}");
    assert!(text.contains(r#"route="unmatched",status="404""#) && !text.contains("4711"), "{text}");
}
