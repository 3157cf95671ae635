use reqwest::Method;

use crate::support::TestApp;

#[tokio::test]
async fn every_file_that_a_page_names_is_served() {
    let app = TestApp::start().await;
    let mut texts = vec![app.get("/").await.text().to_owned()];
    for module in ["dashboard.js", "usage_chart.js", "forecast_chart.js"] {
        texts.push(app.get(&format!("/static/{module}")).await.text().to_owned());
    }
    let mut named: Vec<String> = Vec::new();
    for text in &texts {
        named.extend(text.split("\"/static/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        named.extend(text.split("from \"./").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    assert!(named.len() > 6, "{named:?}");
    for file in named {
        assert_eq!(app.get(&format!("/static/{file}")).await.status, 200, "{file}");
    }
    assert_eq!(app.get("/static/..%2FCargo.toml").await.status, 404);
}

#[tokio::test]
async fn the_chart_library_is_sent_packed_and_only_once() {
    let app = TestApp::start().await;
    let path = "/static/plotly.js";
    let packed = app.send(Method::GET, path, &[("accept-encoding", "gzip, br")], "").await;
    assert_eq!((packed.status, packed.header("content-encoding")), (200, "gzip"));
    assert!(packed.body.starts_with(&[0x1f, 0x8b]), "it is not gzip, or packed twice");
    assert!(packed.header("cache-control").contains("immutable"), "{:?}", packed.headers);

    let plain = app.get(path).await;
    assert!(plain.text().contains("plotly.js v3"));

    let tag = packed.header("etag").to_owned();
    let again = app.send(Method::GET, path, &[("if-none-match", &tag)], "").await;
    assert_eq!((again.status, again.body.len()), (304, 0));
}
