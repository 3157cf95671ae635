//! What is of Postgres alone, in a schema of its own for each test.

use chrono::TimeDelta;
use kilowatch_shared::{
    checkpoint::OwnerToken,
    retry::RetryHint,
    views::{BatchViews as _, Lease, SpeedViews, ViewsError, postgres::PostgresViews},
};
use sqlx::{Connection, PgConnection};

use super::subject::{cut, household, noon, partition};
use crate::schema::Schema;

/// Views in a fresh schema.
pub async fn fresh() -> (PostgresViews, Schema) {
    let schema = Schema::fresh().await;
    (PostgresViews::connect(&schema.url).await.unwrap(), schema)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_whose_clocks_differ_do_not_take_a_schedule_from_each_other() {
    let (views, _schema) = fresh().await;
    let (one, two) = (OwnerToken::fresh(), OwnerToken::fresh());
    let take = async |holder, clock_secs: i64| {
        let now = noon() + TimeDelta::seconds(clock_secs);
        let lease = Lease { holder, now, until: now + TimeDelta::seconds(3600) };
        views.lease_schedule(&household(), &lease).await.unwrap()
    };
    assert!(take(one, 0).await);
    for differing in [-86_400, -30, 30, 7200, 86_400] {
        assert!(!take(two, differing).await, "taken by a clock that differs by {differing} s");
        assert!(take(one, differing).await, "the holder could not renew when its clock had jumped by {differing} s");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_start_at_once_all_find_the_schema() {
    let schema = Schema::fresh().await;
    let starts = (0..4).map(|_| {
        let url = schema.url.clone();
        tokio::spawn(async move { PostgresViews::connect(&url).await.map(drop) })
    });
    for start in starts.collect::<Vec<_>>() {
        start.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_refused_without_a_retry() {
    let server = std::env::var("TEST_DATABASE_URL").unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    let error = PostgresViews::connect(&format!("{base}/no_such_database")).await.unwrap_err();
    assert!(matches!(error, ViewsError::Refused { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_somebody_holds_is_given_up_for_a_later_try() {
    let schema = Schema::fresh().await;
    let views = PostgresViews::connect(&schema.url).await.unwrap();
    views.claim(&partition(0), OwnerToken::fresh(), &cut(0)).await.unwrap();
    let mut holder = PgConnection::connect(&schema.url).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("UPDATE partitions SET readings = readings").execute(&mut *held).await.unwrap();
    let error = views.claim(&partition(0), OwnerToken::fresh(), &cut(0)).await.unwrap_err();
    assert_eq!(error.retry_hint(), RetryHint::WithBackoff, "{error}");
    held.rollback().await.unwrap();
    views.claim(&partition(0), OwnerToken::fresh(), &cut(0)).await.unwrap();
}
