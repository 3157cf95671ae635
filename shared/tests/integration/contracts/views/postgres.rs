//! A schema of its own for each test, on the server that TEST_DATABASE_URL names.

use kilowatch_shared::{
    checkpoint::OwnerToken,
    retry::RetryHint,
    views::{SpeedViews, ViewsError, postgres::PostgresViews},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::subject::{cut, partition};

/// A schema that is dropped with the value.
pub struct Schema {
    name: String,
    server: String,
}

/// Views in a fresh schema.
pub async fn fresh() -> (PostgresViews, Schema) {
    let (schema, url) = schema().await;
    (PostgresViews::connect(&url).await.unwrap(), schema)
}

/// A fresh schema, and the URL whose sessions see it alone.
pub async fn schema() -> (Schema, String) {
    let server = std::env::var("TEST_DATABASE_URL")
        .expect("the feature service-tests needs TEST_DATABASE_URL=postgres://user@host:port/database");
    let name = format!("test_{}", Uuid::new_v4().simple());
    execute(&server, &format!("CREATE SCHEMA {name}")).await;
    let mark = if server.contains('?') { '&' } else { '?' };
    let url = format!("{server}{mark}options=-c%20search_path%3D{name}");
    (Schema { name, server }, url)
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (server, drop) = (self.server.clone(), format!("DROP SCHEMA {} CASCADE", self.name));
        // A test's own runtime may be the one that is dropping us.
        let done = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(&server, &drop));
        })
        .join();
        if done.is_err() {
            eprintln!("schema {} is left behind", self.name);
        }
    }
}

async fn execute(server: &str, text: &str) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::query(AssertSqlSafe(text.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_start_at_once_all_find_the_schema() {
    let (_schema, url) = schema().await;
    let starts = (0..4).map(|_| {
        let url = url.clone();
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
    let (_schema, url) = schema().await;
    let views = PostgresViews::connect(&url).await.unwrap();
    views.claim(&partition(0), OwnerToken::fresh(), &cut(0)).await.unwrap();
    let mut holder = PgConnection::connect(&url).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("UPDATE partitions SET readings = readings").execute(&mut *held).await.unwrap();
    let error = views.claim(&partition(0), OwnerToken::fresh(), &cut(0)).await.unwrap_err();
    assert_eq!(error.retry_hint(), RetryHint::WithBackoff, "{error}");
    held.rollback().await.unwrap();
    views.claim(&partition(0), OwnerToken::fresh(), &cut(0)).await.unwrap();
}
