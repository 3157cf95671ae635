//! Surroundings of a group: a topic, a schema, a lake and a config file of its own, on servers that tests share.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use kilowatch_shared::{
    clock::SystemClock,
    lake::{delta::DeltaLake, store::LakeStore},
    log::{
        SharedLog,
        kafka::{KafkaConfig, KafkaLog},
    },
    position::PartitionId,
    stream::StreamProfile,
    views::{self, SharedViews},
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use crate::process::kilowatch;

/// Far more than a rebalance takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(90);
/// The least that a broker allows.
const SESSION: Duration = Duration::from_secs(6);
const STREAM: &str = "members";

/// Everything but the members.
pub struct Cluster {
    folder: TempDir,
    environment: BTreeMap<&'static str, String>,
    brokers: String,
    pub profile: StreamProfile,
    pub log: SharedLog,
    pub views: SharedViews,
    pub lake: Arc<DeltaLake>,
}

/// A running `kilowatch speed run`; killed when dropped.
pub struct Member {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Cluster {
    pub async fn new(partitions: u32) -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by dev/services"));
        let (brokers, server) = (variable("TEST_KAFKA_BROKERS"), variable("TEST_DATABASE_URL"));
        let id = Uuid::new_v4().simple().to_string();
        let folder = tempfile::tempdir().unwrap();
        let topic = format!("members.{id}");
        let text = format!(
            r#"name = "{STREAM}"
description = "Meters of a group test"
topic = "{topic}"
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
sigmas = 3.0
min_sd = {{ active_power = 0.5 }}
"#
        );
        let profile_file = folder.path().join("members.toml");
        std::fs::write(&profile_file, &text).unwrap();
        let session_ms = SESSION.as_millis();
        let config = format!(
            "[log.properties]\n\"session.timeout.ms\" = \"{session_ms}\"\n\"topic.metadata.refresh.interval.ms\" = \"500\"\n"
        );
        std::fs::write(folder.path().join("kilowatch.toml"), config).unwrap();

        let mut connection = PgConnection::connect(&server).await.unwrap();
        let schema = format!("members_{id}");
        sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).execute(&mut connection).await.unwrap();
        let views_url = format!("{server}?options=-c%20search_path%3D{schema}");
        let lake_url = format!("{}/{id}", variable("TEST_S3_URL"));
        let environment = BTreeMap::from([
            ("KILOWATCH_LOG__URL", format!("kafka://{brokers}")),
            ("KILOWATCH_LOG__GROUP_ID", format!("test-{id}")),
            ("KILOWATCH_VIEWS__URL", views_url.clone()),
            ("KILOWATCH_LAKE__URL", lake_url.clone()),
            ("KILOWATCH_STREAM_FILES", format!("[{profile_file:?}]")),
            // Short windows and segments put many transactions and commits between two faults.
            ("KILOWATCH_SPEED__WINDOW_MS", "100".to_owned()),
            ("KILOWATCH_SPEED__SEGMENT_MS", "1000".to_owned()),
            ("KILOWATCH_SPEED__REFRESH_MS", "500".to_owned()),
        ]);
        let profile = StreamProfile::parse(&text, "members.toml").unwrap();
        let mut kafka = KafkaConfig::new(&brokers);
        kafka.properties.insert("topic.metadata.refresh.interval.ms".to_owned(), "500".to_owned());
        let log: SharedLog = Arc::new(KafkaLog::new(kafka, Arc::new(SystemClock)).unwrap());
        log.create_topic(&profile.topic, partitions).await.unwrap();
        let store = LakeStore::open(&lake_url, &std::env::vars().collect()).unwrap();
        Self {
            folder,
            environment,
            brokers,
            log,
            views: views::open(&views_url).await.unwrap(),
            lake: Arc::new(DeltaLake::new(store, Arc::new(SystemClock))),
            profile,
        }
    }

    /// A command of the binary in these surroundings.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = kilowatch(&self.data_dir(), args);
        command.envs(&self.environment);
        command
    }

    /// Runs a command to its end, which has to be a good one.
    pub fn run(&self, args: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}: {out}\n{err}");
        output
    }

    /// A member with a process of its own.
    pub fn start_member(&self) -> Member {
        let mut command = self.command(&["speed", "run", "--stream", STREAM]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (stderr, heard) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&lines));
        // Reads all the time: a full pipe would stop the process.
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if std::env::var_os("KILOWATCH_TEST_SHOW_LOGS").is_some() {
                    eprintln!("{line}");
                }
                heard.lock().unwrap().push(line);
            }
        });
        Member { child, lines }
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

    /// Waits until the views have everything that the log has.
    pub async fn applied_everything(&self) {
        self.wait_until("everything is applied", async || {
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
    }

    pub async fn wait_until(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let met = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, met).await.is_ok(), "waited in vain until {what}");
    }

    pub async fn add_partitions(&self, to: usize) {
        let wanted = [NewPartitions::new(&self.profile.topic, to)];
        self.admin().create_partitions(&wanted, &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap()
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Member {
    /// How many of its log lines hold this text.
    pub fn said(&self, text: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; it has to end well.
    pub fn stop(mut self) {
        self.signal("-TERM");
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {:#?}", self.lines.lock().unwrap());
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
