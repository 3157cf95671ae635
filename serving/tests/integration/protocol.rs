//! What holds for every route.

use kilowatch_shared::model::ModelKind;
use reqwest::Method;

use crate::support::{TestApp, World};

#[tokio::test]
async fn an_unknown_parameter_is_refused_and_not_ignored() {
    let app = TestApp::start().await;
    let refused = app.get("/api/anomalies?devise_id=meter-0001").await;
    assert_eq!(refused.status, 400);
    insta::assert_json_snapshot!(refused.json());
}

#[tokio::test]
async fn an_unknown_stream_names_the_known_ones() {
    let app = TestApp::start().await;
    for path in [
        "/api/anomalies",
        "/api/usage",
        "/api/forecasts",
        "/api/counts",
        "/api/jobs",
        "/api/model_info",
        "/api/model_swaps",
        "/api/position_changes",
    ] {
        let refused = app.get(&format!("{path}?stream=hosehold")).await;
        assert_eq!((refused.status, refused.code().as_str()), (404, "unknown_stream"), "{path}");
        assert_eq!(refused.json()["error"]["hint"], "known streams: campus, grid, household, power-plant, sensor");
    }
}

#[tokio::test]
async fn a_device_that_nobody_has_seen_is_not_an_empty_answer() {
    let world = World::empty().await;
    world.with_a_morning().await;
    let app = TestApp::over(world).await;
    for path in ["/api/anomalies", "/api/usage", "/api/forecasts"] {
        let refused = app.get(&format!("{path}?device_id=meter-0002")).await;
        assert_eq!((refused.status, refused.code().as_str()), (404, "unknown_device"), "{path}");
        assert_eq!(app.get(&format!("{path}?device_id=meter-0001")).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn nothing_is_served_at_an_unknown_path() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/api/nothing").await.code(), "not_found");
    let page = app.send(Method::GET, "/nothing", &[("accept", "text/html")], "").await;
    assert_eq!(page.status, 404);
    assert!(page.text().contains("<h1>Not Found</h1>"), "{}", page.text());
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let app = TestApp::start().await;
    let refused = app.post("/api/anomalies", "application/json", "{}").await;
    assert_eq!((refused.status, refused.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(refused.json()["error"]["hint"], "use GET, HEAD");
    assert_eq!(refused.header("allow"), "GET, HEAD");
    let asked = app.send(Method::OPTIONS, "/api/readings", &[("accept", "text/html")], "").await;
    assert_eq!((asked.status, asked.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn a_look_at_the_head_alone_is_a_get_without_its_body() {
    let app = TestApp::start().await;
    for path in ["/", "/api/counts", "/healthz", "/metrics", "/static/app.css"] {
        let head = app.send(Method::HEAD, path, &[], "").await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-type"), app.get(path).await.header("content-type"), "{path}");
    }
}

#[tokio::test]
async fn an_internal_error_says_nothing_but_the_request() {
    let world = World::empty().await;
    world.with_model(ModelKind::Estimate, b"not a model").await;
    let app = TestApp::over(world).await;
    let failed = app.get("/api/predict?voltage=240").await;
    assert_eq!(failed.status, 500);
    let id = failed.header("x-request-id");
    assert_eq!(
        failed.json(),
        serde_json::json!({"error": {"code": "internal", "message": format!("internal error, request {id}"), "hint": null}})
    );
}

#[tokio::test]
async fn a_name_that_only_leads_here_is_refused() {
    let app = TestApp::start().await;
    let refused = app.send(Method::GET, "/api/counts", &[("host", "evil.example")], "").await;
    assert_eq!((refused.status, refused.code().as_str()), (421, "foreign_host"));
    let allowed =
        TestApp::configured(World::empty().await, |_, config| config.allowed_hosts = vec!["meter.lan".into()]).await;
    assert_eq!(allowed.send(Method::GET, "/api/counts", &[("host", "meter.lan")], "").await.status, 200);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let app = TestApp::start().await;
    for path in ["/", "/api/counts", "/nothing", "/static/app.css"] {
        let answer = app.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-request-id").len(), 32, "{path}");
    }
}

#[tokio::test]
async fn a_query_that_is_far_too_long_is_not_read() {
    let app = TestApp::start().await;
    let refused = app.get(&format!("/api/usage?measure={}", "x".repeat(5000))).await;
    assert_eq!((refused.status, refused.code().as_str()), (414, "query_too_long"));
}

#[tokio::test]
async fn answers_are_compressed_for_who_asks() {
    let app = TestApp::start().await;
    let packed = app.send(Method::GET, "/", &[("accept-encoding", "gzip")], "").await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_eq!(app.get("/").await.header("content-encoding"), "");
}
