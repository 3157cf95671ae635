use kilowatch_serving::{LiveState, ReadinessReport, StreamLiveState};

use crate::support::TestApp;

#[tokio::test]
async fn a_stream_says_what_it_measures_and_how_its_live_side_is() {
    let app = TestApp::start().await;
    app.world.probe.set(ReadinessReport {
        streams: vec![StreamLiveState {
            stream: app.world.stream().clone(),
            state: LiveState::Stopped { reason: "the log was recreated; run `kilowatch speed adopt`".into() },
            lag_messages: Some(7),
        }],
        ..ReadinessReport::default()
    });
    let mut answer = app.get("/api/streams").await.json();
    let streams = answer["data"].as_array_mut().unwrap();
    let names: Vec<&str> = streams.iter().map(|stream| stream["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["campus", "grid", "household", "power-plant", "sensor"]);
    streams.retain(|stream| stream["name"] == "household");
    insta::assert_json_snapshot!(answer);
}
