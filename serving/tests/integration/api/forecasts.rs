use crate::support::{TestApp, World};

#[tokio::test]
async fn a_forecast_comes_with_the_vintage_that_issued_it() {
    let world = World::empty().await;
    world.with_a_morning().await;
    world.with_a_forecast(2).await;
    let app = TestApp::over(world).await;
    insta::assert_json_snapshot!(app.get("/api/forecasts?device_id=meter-0001").await.json());
}

#[tokio::test]
async fn before_the_first_issue_there_is_no_vintage() {
    let app = TestApp::start().await;
    let none = app.get("/api/forecasts").await;
    assert_eq!(none.status, 200);
    assert!(none.json()["vintage"].is_null() && none.json()["data"].as_array().unwrap().is_empty());
    assert_eq!(none.json()["provenance"]["layer"], "none");
}
