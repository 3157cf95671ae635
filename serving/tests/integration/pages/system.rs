use kilowatch_serving::{ReadinessProblem, ReadinessReport};
use kilowatch_shared::{
    job::JobStatus,
    model::{ModelId, ModelKind},
};

use super::html::assert_well_formed;
use crate::support::{TestApp, World};

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
