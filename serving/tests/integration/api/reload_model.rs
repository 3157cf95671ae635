use crate::support::{TestApp, World};

#[tokio::test]
async fn it_says_which_model_serves() {
    let world = World::empty().await;
    let id = world.with_an_estimate().await;
    let app = TestApp::over(world).await;
    let posted = app.post("/api/reload_model", "application/json", "").await;
    assert_eq!((posted.status, &posted.json()["data"]["id"]), (200, &id.as_str().into()));
    assert_eq!(app.get("/reload_model").await.json(), posted.json());
}
