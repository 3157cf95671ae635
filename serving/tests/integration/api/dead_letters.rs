use crate::support::{TestApp, World};

#[tokio::test]
async fn a_dead_letter_is_shown_with_its_bytes_place_and_reason() {
    let world = World::empty().await;
    world.with_a_dead_letter(b"{\"device_id\": \xff", "the payload is not UTF-8 from byte 14 on").await;
    let app = TestApp::over(world).await;
    insta::assert_json_snapshot!(app.get("/api/dead_letters").await.json());
}
