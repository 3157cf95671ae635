//! What a cluster made on servers that others use, and its end: with the cluster, however its test ended.

use std::{thread, time::Duration};

use kilowatch_shared::stream::StreamProfile;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::{runtime::Builder, time::timeout};

use super::servers::Addresses;

/// A server that its test left dead, or standing still, is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Removed when dropped.
pub struct Leftovers {
    database: String,
    brokers: String,
    schema: String,
    topics: Vec<String>,
}

impl Leftovers {
    /// A schema, which need not be made yet.
    pub fn of(at: &Addresses, schema: String) -> Self {
        Self { database: at.database.clone(), brokers: at.brokers.clone(), schema, topics: Vec::new() }
    }

    /// And the topics of a stream.
    pub fn with_topics(mut self, profile: &StreamProfile) -> Self {
        let dead_letters = profile.dead_letters_topic().into_owned();
        self.topics = vec![profile.topic.clone(), profile.anomalies_topic.clone(), dead_letters];
        self
    }

    async fn drop_schema(&self) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect(&self.database).await?;
        // A member that was killed may still have a transaction there.
        sqlx::query("SET lock_timeout = '8s'").execute(&mut connection).await?;
        let statement = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema);
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(())
    }

    async fn delete_topics(&self) -> Result<(), rdkafka::error::KafkaError> {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create()?;
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        // Not each of them was ever written to.
        admin.delete_topics(&topics, &AdminOptions::new().request_timeout(Some(PATIENCE))).await.map(drop)
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        let clean_up = async {
            let (schema, topics) =
                tokio::join!(timeout(PATIENCE, self.drop_schema()), timeout(PATIENCE, self.delete_topics()),);
            if !matches!((&schema, &topics), (Ok(Ok(())), Ok(Ok(())))) {
                println!("{} was not cleaned up: {schema:?}, {topics:?}", self.schema);
            }
        };
        // The runtime of the test cannot wait inside of a destructor.
        thread::scope(|scope| {
            let runtime = Builder::new_current_thread().enable_all().build();
            let cleaned = scope.spawn(move || runtime.map(|runtime| runtime.block_on(clean_up)));
            // A panic in a destructor would hide the one that the test failed with.
            let _panicked = cleaned.join();
        });
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, PgConnection};

    use crate::group::{cluster::Cluster, servers::Addresses};
    use crate::process::wait_until;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_cluster_leaves_neither_a_schema_nor_a_topic_behind() {
        let cluster = Cluster::new(1).await;
        let (schema, topic, log) = (cluster.schema(), cluster.profile.topic.clone(), cluster.log.clone());
        let mut database = PgConnection::connect(&Addresses::shared().database).await.unwrap();
        let mut has_schema = async || {
            let statement = "SELECT EXISTS (SELECT FROM information_schema.schemata WHERE schema_name = $1)";
            sqlx::query_scalar::<_, bool>(statement).bind(&schema).fetch_one(&mut database).await.unwrap()
        };
        assert!(has_schema().await && log.partitions(&topic).await.is_ok());
        drop(cluster);
        assert!(!has_schema().await, "{schema} is still there");
        wait_until("the topic is gone", async || log.partitions(&topic).await.is_err()).await;
    }
}
