//! Surroundings of a group: a topic, a schema, a lake and a config file of its own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use kilowatch_shared::{
    clock::{SharedClock, SystemClock},
    lake::{LakeTable, SegmentLake, delta::DeltaLake, store::LakeStore},
    log::{
        SharedLog,
        kafka::{KafkaConfig, KafkaLog},
    },
    position::{Offset, PartitionId},
    stream::StreamProfile,
    views::{self, SharedViews},
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    topic_partition_list::TopicPartitionList,
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use super::{leftovers::Leftovers, member::Member, servers::Addresses};
use crate::process::{kilowatch_of, own_binary, wait_until};

/// For librdkafka: the least session that a broker allows, and outages that are noticed to be over.
const LOG_PROPERTIES: [(&str, &str); 3] = [
    ("session.timeout.ms", "6000"),
    ("topic.metadata.refresh.interval.ms", "500"),
    ("reconnect.backoff.max.ms", "500"),
];

/// Everything but the members. What it made on the servers goes with it.
pub struct Cluster {
    _leftovers: Leftovers,
    folder: TempDir,
    id: String,
    environment: BTreeMap<String, String>,
    addresses: Addresses,
    kafka: KafkaConfig,
    pub profile: StreamProfile,
    pub log: SharedLog,
    pub views: SharedViews,
    pub lake: Arc<DeltaLake>,
}

impl Cluster {
    /// A stream of meters with so many partitions, on the servers that tests share.
    pub async fn new(partitions: u32) -> Self {
        Self::on(Addresses::shared(), partitions).await
    }

    /// The same on other servers.
    pub async fn on(addresses: Addresses, partitions: u32) -> Self {
        Self::of(addresses, &meters(partitions, 3.0)).await
    }

    /// A stream of this profile, whose topics get names of their own.
    pub async fn of(addresses: Addresses, profile: &str) -> Self {
        let id = Uuid::new_v4().simple().to_string();
        let folder = tempfile::tempdir().unwrap();
        let properties: String = LOG_PROPERTIES.map(|(key, value)| format!("\"{key}\" = \"{value}\"\n")).concat();
        std::fs::write(folder.path().join("kilowatch.toml"), format!("[log.properties]\n{properties}")).unwrap();

        let mut connection = PgConnection::connect(&addresses.database).await.unwrap();
        let leftovers = Leftovers::of(&addresses, format!("test_{id}"));
        sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA test_{id}"))).execute(&mut connection).await.unwrap();
        let views_url = format!("{}?options=-c%20search_path%3Dtest_{id}", addresses.database);
        let lake_url = format!("{}/{id}", addresses.lake);
        let profile_file = write_profile(folder.path(), "stream", profile, &id);
        let mut environment = BTreeMap::from(
            [
                ("KILOWATCH_LOG__URL", format!("kafka://{}", addresses.brokers)),
                ("KILOWATCH_LOG__GROUP_ID", format!("test-{id}")),
                ("KILOWATCH_VIEWS__URL", views_url.clone()),
                ("KILOWATCH_LAKE__URL", lake_url.clone()),
                ("KILOWATCH_STREAM_FILES", format!("[{profile_file:?}]")),
                ("KILOWATCH_OPS__LISTEN", "127.0.0.1:0".to_owned()),
                // Short windows and segments put many transactions and commits between two faults.
                ("KILOWATCH_SPEED__WINDOW_MS", "100".to_owned()),
                ("KILOWATCH_SPEED__SEGMENT_MS", "1000".to_owned()),
                ("KILOWATCH_SPEED__REFRESH_MS", "500".to_owned()),
                // A busy machine is no reason to leave a close to the next owner.
                ("KILOWATCH_SPEED__STOP_DEADLINE_MS", "90000".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        environment.extend(addresses.s3.clone());
        let profile = StreamProfile::parse(&own_topics(profile, &id), "stream.toml").unwrap();
        let mut kafka = KafkaConfig::new(&addresses.brokers);
        kafka.properties.extend(LOG_PROPERTIES.map(|(key, value)| (key.to_owned(), value.to_owned())));
        // An outage must not leave the producer in doubt: what it sent arrives once, however long that takes.
        kafka.properties.insert("message.timeout.ms".to_owned(), "300000".to_owned());
        kafka.group = format!("test-{id}");
        let views = views::open(&views_url).await.unwrap();
        let (log, lake) = open(&kafka, &lake_url, &addresses, Arc::new(SystemClock));
        log.create_topic(&profile.topic, profile.partitions).await.unwrap();
        let _leftovers = leftovers.with_topics(&profile);
        Self { _leftovers, folder, id, environment, addresses, kafka, profile, log, views, lake }
    }

    /// Other doors to log and lake, by another clock.
    pub fn open(&self, clock: SharedClock) -> (SharedLog, Arc<DeltaLake>) {
        open(&self.kafka, &self.environment["KILOWATCH_LAKE__URL"], &self.addresses, clock)
    }

    /// Where the views are.
    pub fn views_url(&self) -> String {
        self.environment["KILOWATCH_VIEWS__URL"].clone()
    }

    /// Another setting for every command from now on.
    pub fn set(&mut self, variable: &str, value: &str) {
        self.environment.insert(variable.to_owned(), value.to_owned());
    }

    /// A command of the binary in these surroundings.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_of(own_binary(), args)
    }

    /// The same of another build.
    pub fn command_of(&self, binary: &Path, args: &[&str]) -> Command {
        let mut command = kilowatch_of(binary, &self.data_dir(), args);
        command.envs(&self.environment);
        command
    }

    /// The name of the stream.
    pub fn stream(&self) -> &str {
        self.profile.name.as_str()
    }

    /// Runs a command to its end, which has to be a good one.
    pub fn run(&self, args: &[&str]) -> Output {
        succeeds(&mut self.command(args))
    }

    /// What a command answers as JSON.
    pub fn answer(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = ["--json"].iter().chain(args).copied().collect();
        serde_json::from_slice(&self.run(&args).stdout).unwrap()
    }

    /// The report of `batch verify`, which finds no difference and leaves no partition out.
    pub fn verify(&self) -> Value {
        let report = self.answer(&["batch", "verify", "--stream", self.stream()]);
        for compared in ["positions", "anomalies", "partials"] {
            assert_eq!(report[compared]["differing"], 0, "{report}");
        }
        assert_eq!(report["not_replayed"], serde_json::json!([]), "{report}");
        report
    }

    /// A member with a process of its own.
    pub fn start_member(&self) -> Member {
        Member::start(self.command(&["speed", "run", "--stream", self.stream()]))
    }

    /// So many of them.
    pub fn start_members(&self, members: usize) -> Vec<Member> {
        (0..members).map(|_| self.start_member()).collect()
    }

    /// A file with another profile of this stream; members that are given it in `KILOWATCH_STREAM_FILES` judge by it.
    pub fn write_profile(&self, name: &str, profile: &str) -> String {
        let file = write_profile(self.folder.path(), name, profile, &self.id);
        format!("[{file:?}]")
    }

    /// What is known of each partition of the topic.
    pub async fn partitions(&self) -> Vec<PartitionId> {
        let stream = &self.profile.name;
        let found = self.log.partitions(&self.profile.topic).await.unwrap();
        found
            .into_iter()
            .map(|found| PartitionId { stream: stream.clone(), source: found.source, partition: found.partition })
            .collect()
    }

    /// How far the views have each partition that they know.
    pub async fn applied_offsets(&self) -> Vec<(PartitionId, Offset)> {
        let mut found = Vec::new();
        for partition in self.views.known_partitions(&self.profile.name).await.unwrap() {
            let state = self.views.partition(&partition).await.unwrap();
            found.push((partition, state.map_or(Offset::ZERO, |state| state.applied)));
        }
        found
    }

    /// How many messages the views have the effects of.
    pub async fn applied(&self) -> u64 {
        self.applied_offsets().await.iter().map(|(_, applied)| applied.get()).sum()
    }

    /// How many messages the lake holds.
    pub async fn closed(&self) -> u64 {
        let held = self.lake.snapshot(&self.profile.name, LakeTable::Readings).await.unwrap();
        held.closed.values().map(|closed| closed.get()).sum()
    }

    /// Waits until the views have everything that the log has, and nothing is left to be told.
    pub async fn applied_everything(&self) {
        wait_until("everything is applied", async || {
            for partition in self.partitions().await {
                let high = self.log.watermarks(&(&partition).into()).await.unwrap().high;
                let applied = self.views.partition(&partition).await.unwrap().map(|state| state.applied);
                if applied != Some(high) {
                    return false;
                }
            }
            true
        })
        .await;
        wait_until("everything is told", async || {
            self.views.outbox_backlogs(&self.profile.name).await.unwrap().is_empty()
        })
        .await;
    }

    pub async fn add_partitions(&self, to: usize) {
        let wanted = [NewPartitions::new(&self.profile.topic, to)];
        self.admin().create_partitions(&wanted, &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    }

    /// Deletes the topic with all that is in it, and makes it again; its messages are of another generation from now on.
    pub async fn make_topic_again(&mut self) {
        let (admin, topic) = (self.admin(), self.profile.topic.clone());
        admin.delete_topics(&[&topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
        // A topic is gone some time after it was deleted.
        wait_until("the topic is made again", async || {
            let topic = NewTopic::new(&topic, self.profile.partitions.cast_signed(), TopicReplication::Fixed(1));
            admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap().remove(0).is_ok()
        })
        .await;
        self.kafka.generation += 1;
        self.log = self.open(Arc::new(SystemClock)).0;
        wait_until("the topic is known", async || self.log.partitions(&topic).await.is_ok()).await;
    }

    /// Retention drops all that the topic has by now. Returns where each partition begins then.
    pub async fn expire_everything(&self) -> Vec<(PartitionId, Offset)> {
        let mut begins = Vec::new();
        let mut offsets = TopicPartitionList::new();
        for partition in self.partitions().await {
            let high = self.log.watermarks(&(&partition).into()).await.unwrap().high;
            let number = partition.partition.cast_signed();
            let offset = rdkafka::Offset::Offset(high.as_i64());
            offsets.add_partition_offset(&self.profile.topic, number, offset).unwrap();
            begins.push((partition, high));
        }
        let deleted = self.admin().delete_records(&offsets, &AdminOptions::new()).await.unwrap();
        assert!(deleted.elements().iter().all(|partition| partition.error().is_ok()), "{deleted:?}");
        begins
    }

    /// A connection to the database, beside those of the views.
    pub async fn database(&self) -> PgConnection {
        PgConnection::connect(&self.addresses.database).await.unwrap()
    }

    /// The address of the database.
    pub fn database_url(&self) -> &str {
        &self.addresses.database
    }

    /// The schema of the views.
    pub fn schema(&self) -> String {
        format!("test_{}", self.id)
    }

    /// A place for files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.addresses.brokers).create().unwrap()
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

/// Runs a command to its end, which has to be a good one.
pub fn succeeds(command: &mut Command) -> Output {
    let output = tokio::task::block_in_place(|| command.output().unwrap());
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {out}\n{err}");
    output
}

/// Meters whose power three-sigma watches.
pub fn meters(partitions: u32, sigmas: f64) -> String {
    format!(
        r#"name = "members"
description = "Meters of a group test"
topic = "members"
partitions = {partitions}
key_field = "device_id"
time_field = "timestamp"
time_format = "rfc3339"
time_stamps = "start"
interval_secs = 60
rollup_windows_secs = [3600]
bucket = "month"
measures = [{{ name = "active_power", unit = "kW", label = "Active power" }}]

[[detectors]]
name = "three_sigma"
min_readings = 20

[detectors.kernel.three_sigma]
measures = ["active_power"]
baseline = {{ rolling = {{ window_readings = 60 }} }}
sigmas = {sigmas:?}
min_sd = {{ active_power = 0.5 }}
"#
    )
}

fn open(kafka: &KafkaConfig, lake: &str, at: &Addresses, clock: SharedClock) -> (SharedLog, Arc<DeltaLake>) {
    let log = KafkaLog::new(kafka.clone(), Arc::clone(&clock)).unwrap();
    let store = LakeStore::open(lake, &at.s3).unwrap();
    (Arc::new(log), Arc::new(DeltaLake::new(store, clock)))
}

fn write_profile(folder: &Path, name: &str, profile: &str, id: &str) -> PathBuf {
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, own_topics(profile, id)).unwrap();
    file
}

/// The profile with topics that no other test writes to.
fn own_topics(profile: &str, id: &str) -> String {
    let lines = profile.lines().filter(|line| !line.starts_with("anomalies_topic = "));
    let lines = lines.map(|line| match line.strip_prefix("topic = ") {
        Some(topic) => format!("topic = \"{}.{id}\"\nanomalies_topic = \"anomalies.{id}\"\n", topic.trim_matches('"')),
        None => format!("{line}\n"),
    });
    lines.collect()
}
