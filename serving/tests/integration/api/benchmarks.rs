use crate::support::{TestApp, World};

#[tokio::test]
async fn a_benchmark_says_what_was_measured_on_what_and_who_was_missing() {
    let world = World::empty().await;
    world.with_a_benchmark(1).await;
    let app = TestApp::over(world).await;
    insta::assert_json_snapshot!(app.get("/api/benchmarks").await.json());
}

#[tokio::test]
async fn benchmarks_come_in_pages_newest_first() {
    let world = World::empty().await;
    for seed in 1..=3 {
        world.with_a_benchmark(seed).await;
    }
    let app = TestApp::over(world).await;
    let (mut seeds, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("/api/benchmarks?limit=2&cursor={cursor}")).await.json();
        seeds.extend(page["data"].as_array().unwrap().iter().map(|run| run["seed"].as_u64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seeds, [3, 2, 1]);
    for bad in ["limit=101", "cursor=x", "cursor=0", "stream=household"] {
        assert_eq!(app.get(&format!("/api/benchmarks?{bad}")).await.status, 400, "{bad}");
    }
}
