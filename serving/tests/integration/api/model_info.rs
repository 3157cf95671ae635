use kilowatch_shared::model::ModelKind;

use crate::support::{TestApp, World};

#[tokio::test]
async fn a_model_is_shown_beside_what_it_has_to_beat() {
    let world = World::empty().await;
    world.with_model(ModelKind::Forecast, b"some forecast").await;
    let app = TestApp::over(world).await;
    let info = app.get("/api/model_info").await.json();
    // Half the error of the best naive method.
    assert_eq!(info["data"][0]["skill"], 0.5);
    insta::assert_json_snapshot!(info);
}

#[tokio::test]
async fn both_models_are_listed() {
    let world = World::empty().await;
    world.with_an_estimate().await;
    world.with_model(ModelKind::Forecast, b"some forecast").await;
    let app = TestApp::over(world).await;
    let info = app.get("/api/model_info").await.json();
    let kinds: Vec<&str> =
        info["data"].as_array().unwrap().iter().map(|model| model["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["estimate", "forecast"]);
}
