use crate::support::{TestApp, World};

#[tokio::test]
async fn a_change_says_what_an_operator_did_and_what_is_lost() {
    let world = World::empty().await;
    world.apply(10, kilowatch_shared::views::Effects::default()).await;
    world.with_a_rewind(10, 4).await;
    world.with_a_gap(4, 9).await;
    let app = TestApp::over(world).await;
    insta::assert_json_snapshot!(app.get("/api/position_changes").await.json());
    assert_eq!(app.get("/api/position_changes?limit=1").await.json()["data"].as_array().unwrap().len(), 1);
    assert_eq!(app.get("/api/position_changes?limit=501").await.status, 400);
}
