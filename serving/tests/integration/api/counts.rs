use crate::support::{TestApp, World};

#[tokio::test]
async fn every_message_is_counted_as_one_thing() {
    let world = World::empty().await;
    world.with_a_morning().await;
    world.with_a_dead_letter(b"not json", "the payload is not JSON").await;
    let app = TestApp::over(world).await;
    insta::assert_json_snapshot!(app.get("/api/counts").await.json());
}
