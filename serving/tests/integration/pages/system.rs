use kilowatch_serving::{ReadinessProblem, ReadinessReport};
use kilowatch_shared::{
    job::JobStatus,
    model::{ModelId, ModelKind},
    position::StreamName,
    verification::Verification,
    views::BatchViews,
};

use super::html::assert_well_formed;
use crate::support::{TestApp, World, at};

#[tokio::test]
async fn it_shows_what_batch_and_speed_did() {
    let world = World::empty().await;
    world.with_a_dead_letter(b"{broken", "the payload is not JSON").await;
    world.publish(&[], 7, Some(1)).await;
    world.with_a_job("train", JobStatus::Failed, "2 rows are too few to train on").await;
    world.with_model(ModelKind::Forecast, b"some forecast").await;
    world.with_a_swap(6, &ModelId::of(b"a forest")).await;
    world.with_a_gap(7, 9).await;
    let app = TestApp::over(world).await;
    app.world.probe.set(ReadinessReport {
        problems: vec![ReadinessProblem { component: "lake".into(), reason: "9 segments wait".into() }],
        ..ReadinessReport::default()
    });
    let page = app.get("/system").await;
    assert_eq!(page.status, 200);
    assert_well_formed(page.text());
    for content in [
        "log:memory:energy-stream/0",
        "Lake version <strong>7</strong>",
        "{broken",
        "the payload is not JSON",
        "2 rows are too few to train on",
        "seasonal naive",
        "<code>log:memory:energy-stream/0@7</code>",
        &ModelId::of(b"a forest").as_str()[..12],
        "7 to 9",
        "[7, 9)",
        "9 segments wait",
    ] {
        assert!(page.text().contains(content), "{content:?} is missing in\n{}", page.text());
    }
}

#[tokio::test]
async fn it_says_what_the_last_verification_of_its_stream_found() {
    let app = TestApp::start().await;
    let never = app.get("/system").await;
    assert!(never.text().contains("Never verified: run kilowatch batch verify."), "{}", never.text());
    let found = |stream: &str, differing| Verification {
        stream: StreamName::parse(stream).unwrap(),
        verified_at: at("2026-01-05T03:00:00Z"),
        lake_version: 41,
        differing,
        unproved: 0,
        message: format!("{differing} differences among 9 <positions>"),
    };
    app.world.views.keep_verification(&found("grid", 8)).await.unwrap();
    app.world.views.keep_verification(&found("household", 0)).await.unwrap();
    let fine = app.get("/system").await;
    assert_well_formed(fine.text());
    assert!(fine.text().contains("at lake version 41: 0 differences among 9 &#60;positions&#62;."), "{}", fine.text());
    app.world.views.keep_verification(&found("household", 3)).await.unwrap();
    let page = app.get("/system").await;
    let line = page.text().lines().find(|line| line.contains("3 differences among 9")).unwrap();
    assert!(line.contains(r#"role="alert""#), "{line}");
    let metrics = app.get("/metrics").await;
    for told in [
        r#"kilowatch_verify_differing{stream="household"} 3"#,
        r#"kilowatch_verify_differing{stream="grid"} 8"#,
        r#"kilowatch_verify_unproved_partitions{stream="grid"} 0"#,
        r#"kilowatch_verify_timestamp_seconds{stream="household"} 1767582000"#,
    ] {
        assert!(metrics.text().contains(told), "{told} is missing in\n{}", metrics.text());
    }
}
