use crate::support::{TestApp, World};

async fn with_a_morning() -> TestApp {
    let world = World::empty().await;
    world.with_a_morning().await;
    TestApp::over(world).await
}

#[tokio::test]
async fn batch_and_speed_meet_without_counting_anything_twice() {
    let app = with_a_morning().await;
    let usage = app.get("/api/usage?device_id=meter-0001&from=2007-03-10T08:00:00Z").await;
    assert_eq!(usage.status, 200);
    // The half hour before ten is in both layers, the hour from eleven in none.
    insta::assert_json_snapshot!(usage.json());
}

#[tokio::test]
async fn a_local_day_is_the_sum_of_its_hours() {
    let app = with_a_morning().await;
    let day = app.get("/api/usage?window=day&from=2007-03-10&until=2007-03-11").await.json();
    let windows = day["data"].as_array().unwrap();
    assert_eq!(windows.len(), 1, "{day}");
    assert_eq!(windows[0]["start"], "2007-03-09T23:00:00Z");
    assert_eq!((&windows[0]["count"], &windows[0]["sum"]), (&210.into(), &360.0.into()));
    assert_eq!(day["utc_offset"], "+01:00");

    // East of UTC by eleven hours, the readings before 13:00 UTC still belong to the same local day, which began at 13:00 the day before.
    let east = app.get("/api/usage?window=day&from=2007-03-10&until=2007-03-11&utc_offset=%2B11:00").await.json();
    assert_eq!(east["data"][0]["start"], "2007-03-09T13:00:00Z");
    assert_eq!(east["data"][0]["count"], 210);
}

#[tokio::test]
async fn completeness_is_said_only_of_one_device() {
    let app = with_a_morning().await;
    let range = "from=2007-03-10T08:00:00Z&until=2007-03-10T12:00:00Z";
    let all = app.get(&format!("/api/usage?{range}")).await.json();
    assert!(all["provenance"]["completeness"].is_null() && all["data"][0]["completeness"].is_null(), "{all}");
    let one = app.get(&format!("/api/usage?{range}&device_id=meter-0001")).await.json();
    // Three of four hours came.
    assert_eq!(one["provenance"]["completeness"], 0.75);
    assert_eq!(one["data"][0]["completeness"], 1.0);
}

#[tokio::test]
async fn pages_of_windows_join() {
    let app = with_a_morning().await;
    let range = "from=2007-03-10T08:00:00Z&until=2007-03-10T13:00:00Z&limit=2";
    let mut starts = Vec::new();
    let mut cursor = String::new();
    for _ in 0..3 {
        let page = app.get(&format!("/api/usage?{range}&cursor={cursor}")).await.json();
        starts.extend(page["data"].as_array().unwrap().iter().map(|w| w["start"].as_str().unwrap()[11..13].to_owned()));
        cursor = page["next_cursor"].as_str().unwrap_or("").to_owned();
    }
    assert_eq!(starts, ["08", "09", "10", "12"]);
    assert_eq!(cursor, "");
}

#[tokio::test]
async fn without_a_range_it_is_the_last_week_of_the_data() {
    let app = with_a_morning().await;
    let usage = app.get("/api/usage").await.json();
    assert_eq!(usage["data"].as_array().unwrap().len(), 4, "{usage}");
    assert_eq!(usage["measure"], "active_power");
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused() {
    let app = with_a_morning().await;
    for (bad, code) in [
        ("measure=activ_power", "unknown_measure"),
        ("window=week", "invalid_parameter"),
        ("window=day&utc_offset=%2B05:45", "invalid_parameter"),
        ("utc_offset=%2B25:00", "invalid_parameter"),
        ("limit=100000", "invalid_parameter"),
        ("from=2007-03-11&until=2007-03-10", "invalid_parameter"),
    ] {
        assert_eq!(app.get(&format!("/api/usage?{bad}")).await.code(), code, "{bad}");
    }
}

#[tokio::test]
async fn stored_windows_and_groups_are_asked_for_where_the_stream_has_them() {
    let app = TestApp::start().await;
    let usage = app.get("/api/usage?stream=campus&window=30s&group=Building%20A").await.json();
    assert_eq!((&usage["window"], &usage["group"]), (&"30s".into(), &"Building A".into()), "{usage}");
    for (query, reason) in [
        ("stream=campus&window=60s", "30s or 3600s"),
        ("stream=household&window=30s", "3600s"),
        ("stream=grid&group=x", "no roll-up tags"),
    ] {
        let refused = app.get(&format!("/api/usage?{query}")).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid_parameter"), "{query}");
        assert!(refused.text().contains(reason), "{}", refused.text());
    }
}
