use kilowatch_shared::model::{ModelId, ModelKind};

use crate::support::{TestApp, World};

#[tokio::test]
async fn a_swap_says_which_model_judges_from_which_position_on() {
    let world = World::empty().await;
    let served = world.with_model(ModelKind::IsolationForest, b"the new one").await;
    world.with_a_swap(7, &ModelId::of(b"an old one")).await;
    world.with_a_swap(5, &served).await;
    let app = TestApp::over(world).await;
    insta::assert_json_snapshot!(app.get("/api/model_swaps").await.json());
    assert_eq!(app.get("/api/model_swaps?limit=1").await.json()["data"].as_array().unwrap().len(), 1);
    assert_eq!(app.get("/api/model_swaps?limit=51").await.status, 400);
}
