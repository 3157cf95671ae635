//! A schema of its own on the Postgres server that TEST_DATABASE_URL names. The tests of `cli` take this file as theirs, too.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

/// A schema, dropped with the value.
pub struct Schema {
    name: String,
    server: String,
    /// The URL whose sessions see it alone.
    pub url: String,
}

impl Schema {
    /// A schema that nobody else has.
    pub async fn fresh() -> Self {
        let server = std::env::var("TEST_DATABASE_URL")
            .expect("the feature service-tests needs TEST_DATABASE_URL=postgres://user@host:port/database");
        let name = format!("test_{}", Uuid::new_v4().simple());
        execute(&server, &format!("CREATE SCHEMA {name}")).await;
        let mark = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{mark}options=-c%20search_path%3D{name}");
        Self { name, server, url }
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (server, drop) = (self.server.clone(), format!("DROP SCHEMA {} CASCADE", self.name));
        // The test's own runtime may be the one that is dropping us.
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
