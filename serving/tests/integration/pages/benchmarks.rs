use super::html::assert_well_formed;
use crate::support::{TestApp, World};

#[tokio::test]
async fn without_a_benchmark_it_names_the_command() {
    let app = TestApp::start().await;
    let page = app.get("/benchmarks").await;
    assert_eq!(page.status, 200);
    assert_well_formed(page.text());
    assert!(page.text().contains("<code>kilowatch batch benchmark</code>"), "{}", page.text());
}

#[tokio::test]
async fn it_shows_the_engines_beside_each_other_and_why_one_is_missing() {
    let world = World::empty().await;
    world.with_a_benchmark(1).await;
    let app = TestApp::over(world).await;
    let page = app.get("/benchmarks").await;
    assert_well_formed(page.text());
    for content in [
        "200 MB to Parquet, kilowatch",
        "DuckDB 1.50 s",
        "not installed",
        "failed: out of &#60;memory&#62;",
        r#"data-figure="peak" data-median="228""#,
        "EPYC",
        "0.1.0 (1013c04)",
    ] {
        assert!(page.text().contains(content), "{content:?} is missing in\n{}", page.text());
    }
    assert!(app.get("/").await.text().contains(r#"<a href="/benchmarks">Benchmarks</a>"#));
}

#[tokio::test]
async fn earlier_runs_are_a_link_away() {
    let world = World::empty().await;
    for seed in 1..=3 {
        world.with_a_benchmark(seed).await;
    }
    let app = TestApp::over(world).await;
    let newest = app.get("/benchmarks?limit=2").await;
    assert!(newest.text().contains("seed 3"), "{}", newest.text());
    let older = newest.text().split("href=\"").find(|link| link.contains("cursor=")).unwrap();
    let older = older.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let page = app.get(&older).await;
    assert_well_formed(page.text());
    let earlier = page.text().split("href=\"").find(|link| link.starts_with("/benchmarks?run=1\"")).unwrap();
    let first = app.get(earlier.split('"').next().unwrap()).await;
    assert!(first.text().contains("seed 1"), "{}", first.text());
    assert_eq!(app.get("/benchmarks?run=99").await.status, 404);
    assert_eq!(app.get("/benchmarks?run=x").await.status, 400);
}
