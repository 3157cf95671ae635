use kilowatch_serving::{LiveState, ReadinessReport, StreamLiveState};
use kilowatch_shared::{anomaly::Severity, model::ModelKind};

use super::html::assert_well_formed;
use crate::support::{TestApp, World, anomaly};

#[tokio::test]
async fn everything_on_it_is_readable_without_scripts() {
    let world = World::empty().await;
    world.with_anomalies(vec![anomaly(&world, 0, Severity::Critical, "three_sigma")]).await;
    let batch = world.minutes("2007-03-10T08:00:00Z", "2007-03-10T10:00:00Z", |_| 1.25);
    world.publish(&batch, 3, Some(1)).await;
    world.apply(60, world.live("2007-03-10T10:00:00Z", "2007-03-10T11:00:00Z", |_| 2.5)).await;
    world.with_a_forecast(2).await;
    world.with_model(ModelKind::Forecast, b"some forecast").await;
    let app = TestApp::over(world).await;
    app.world.probe.set(ReadinessReport {
        streams: vec![StreamLiveState {
            stream: app.world.stream().clone(),
            state: LiveState::Live,
            lag_messages: Some(1_200),
        }],
        ..ReadinessReport::default()
    });
    let page = app.get("/").await;
    assert_eq!(page.status, 200);
    let html = page.text();
    assert_well_formed(html);
    for content in [
        // the state and where the data comes from
        "Live",
        "1,200 messages behind",
        "batch has seen lake version 3",
        // tiles: readings of the local day, a model beside the naive one
        ">180</span>",
        "0.500 kW for seasonal naive",
        // one hour of each layer in the chart's table twin
        ">1.25</td>",
        ">2.50</td>",
        "<td>batch</td>",
        "<td>speed</td>",
        // the vintage
        "with 80 % interval; issued Sat 10 Mar 2007, 13:00",
        // the anomaly with its reason, in local time
        "2007-03-10 01:00",
        "active_power 7.25 kW at offset 0 is over 0.2 to 2.4 kW",
    ] {
        assert!(html.contains(content), "{content:?} is missing in\n{html}");
    }
}

#[tokio::test]
async fn an_empty_system_has_a_dashboard() {
    let app = TestApp::start().await;
    let page = app.get("/").await;
    assert_eq!(page.status, 200);
    assert_well_formed(page.text());
    for content in ["No reading in these days", "No forecast was issued yet", "no model serves yet"] {
        assert!(page.text().contains(content), "{content:?} is missing in\n{}", page.text());
    }
}

#[tokio::test]
async fn a_device_can_be_chosen_and_an_unknown_one_is_an_error_page() {
    let world = World::empty().await;
    world.with_a_morning().await;
    let app = TestApp::over(world).await;
    let chosen = app.get("/?device_id=meter-0001").await;
    assert!(chosen.text().contains(r#"<option value="meter-0001" selected>"#), "{}", chosen.text());
    let accept_html = [("accept", "text/html")];
    let unknown = app.send(reqwest::Method::GET, "/?device_id=meter-0002", &accept_html, "").await;
    assert_eq!(unknown.status, 404);
    assert_well_formed(unknown.text());
    assert!(unknown.text().contains("GET /api/devices"), "{}", unknown.text());
}

#[tokio::test]
async fn what_a_meter_sends_is_never_markup() {
    let world = World::empty().await;
    let mut found = anomaly(&world, 0, Severity::Minor, "three_sigma");
    found.verdict.explanation.text = "<script>alert(1)</script>".to_owned();
    world.with_anomalies(vec![found]).await;
    let app = TestApp::over(world).await;
    let page = app.get("/").await;
    assert!(!page.text().contains("<script>alert"), "{}", page.text());
    assert!(page.text().contains("alert(1)"), "{}", page.text());
}

#[tokio::test]
async fn a_stream_without_a_forecast_shows_none_and_one_with_fine_windows_shows_those() {
    let app = TestApp::start().await;
    let page = app.get("/?stream=campus").await;
    assert_eq!(page.status, 200);
    let html = page.text();
    assert_well_formed(html);
    for content in [
        "Electricity, 30-second mean",
        "kWh, last 2 hours",
        "data-window=\"30s\"",
        "<option value=\"water_l\">Water</option>",
        "<option value=\"hour\">hourly, last 7 days</option>",
    ] {
        assert!(html.contains(content), "{content:?} is missing in\n{html}");
    }
    for content in ["Forecast", "forecast-chart", "/predict"] {
        assert!(!html.contains(content), "{content:?} is in\n{html}");
    }
    let hours = app.get("/?stream=campus&measure=water_l&window=hour").await;
    assert!(hours.text().contains("Water, hourly mean"), "{}", hours.text());
    assert_eq!(app.get("/?stream=campus&window=7s").await.status, 400);
    assert_eq!(app.get("/predict?stream=campus").await.status, 404);
    assert!(app.get("/").await.text().contains("/predict"));
}
