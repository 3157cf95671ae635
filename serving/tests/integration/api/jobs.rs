use kilowatch_shared::job::JobStatus;

use crate::support::{TestApp, World};

#[tokio::test]
async fn a_job_run_says_how_it_ended_and_what_it_did() {
    let world = World::empty().await;
    world.with_a_job("rollup", JobStatus::Succeeded, "published 1,234 windows at lake version 3").await;
    let app = TestApp::over(world).await;
    insta::assert_json_snapshot!(app.get("/api/jobs").await.json());
}
