use kilowatch_shared::{reading::MessageCounts, views::Effects};

use crate::support::{TestApp, World, at};

#[tokio::test]
async fn devices_come_in_pages_by_id() {
    let world = World::empty().await;
    let devices = ["a", "b", "c"].map(|id| (id.parse().unwrap(), at("2007-03-10T12:00:00Z"))).into();
    let counts = MessageCounts { readings: 3, ..MessageCounts::default() };
    world.apply(3, Effects { devices, counts, ..Effects::default() }).await;
    let app = TestApp::over(world).await;
    insta::assert_json_snapshot!(app.get("/api/devices?limit=2").await.json());
    let last = app.get("/api/devices?limit=2&cursor=b").await.json();
    assert_eq!((&last["data"][0]["device_id"], &last["next_cursor"]), (&"c".into(), &serde_json::Value::Null));
}
