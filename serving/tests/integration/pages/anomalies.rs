use kilowatch_shared::anomaly::Severity::{Critical, Minor};

use super::html::assert_well_formed;
use crate::support::{TestApp, World, anomaly};

#[tokio::test]
async fn a_row_says_what_was_seen_and_expected_by_how_much_history_and_what_the_others_said() {
    let world = World::empty().await;
    let found = vec![anomaly(&world, 0, Critical, "three_sigma")];
    world.with_anomalies(found).await;
    let app = TestApp::over(world).await;
    let page = app.get("/anomalies").await;
    assert_well_formed(page.text());
    for content in
        ["7.25 kW", "0.2 to 2.4 kW", "from 240 readings", "4.20 / 3.00", "isolation forest is quiet (0.480 / 0.610)"]
    {
        assert!(page.text().contains(content), "{content:?} is missing in\n{}", page.text());
    }
}

#[tokio::test]
async fn filters_stay_and_pages_lead_on() {
    let world = World::empty().await;
    let severities = [Critical, Minor, Critical, Critical];
    let anomalies =
        (0..).zip(severities).map(|(offset, severity)| anomaly(&world, offset, severity, "three_sigma")).collect();
    world.with_anomalies(anomalies).await;
    let app = TestApp::over(world).await;
    let first = app.get("/anomalies?severity=critical&limit=2").await;
    assert_eq!(first.status, 200);
    assert_well_formed(first.text());
    assert!(first.text().contains(r#"<option value="critical" selected>"#), "{}", first.text());
    assert!(first.text().contains("at offset 3") && first.text().contains("at offset 2"));
    assert!(!first.text().contains("at offset 1"), "a minor one passed the filter");

    let older = first.text().split("href=\"").find(|link| link.starts_with("/anomalies?") && link.contains("cursor="));
    let older = older.unwrap().split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let second = app.get(&older).await;
    assert!(second.text().contains("at offset 0") && !second.text().contains("at offset 2"), "{}", second.text());
    assert!(second.text().contains("← Newest") && !second.text().contains("Older →"));
}
