//! A log under test, with what has to stay alive beside it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::SourcePartition,
    clock::Clock,
    log::{
        Fetched, LogRecord, NewRecord, ReadLimit, SharedLog,
        kafka::{KafkaConfig, KafkaLog},
        memory::MemoryLog,
        sqlite::SqliteLog,
    },
    position::Offset,
};
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};
use tempfile::TempDir;

/// Long enough for a busy machine, and for brokers that notice by a session timeout alone that a member left; what is woken
/// never waits for it.
pub const LONG: Duration = Duration::from_secs(60);

/// A log and its surroundings.
pub struct Subject {
    pub log: SharedLog,
    pub clock: Arc<SteppedClock>,
    /// Whether the log forgets when it is told to.
    pub trims: bool,
    /// Removed with the subject.
    _folder: Option<TempDir>,
    /// librdkafka's own cluster, which makes topics for us: it has no admin API.
    cluster: Option<MockCluster<'static, DefaultProducerContext>>,
}

/// A clock that moves when a test says so.
#[derive(Debug)]
pub struct SteppedClock(Mutex<DateTime<Utc>>);

impl SteppedClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new("2007-06-01T12:00:00.123Z".parse().unwrap())))
    }

    pub fn forward(&self, by: TimeDelta) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

impl Subject {
    pub async fn memory() -> Self {
        let clock = SteppedClock::new();
        Self { log: Arc::new(MemoryLog::new(clock.clone())), clock, trims: true, _folder: None, cluster: None }
    }

    pub async fn sqlite() -> Self {
        let clock = SteppedClock::new();
        let folder = TempDir::new().unwrap();
        let log = SqliteLog::open(folder.path().join("log.sqlite"), clock.clone()).await.unwrap();
        Self { log: Arc::new(log), clock, trims: true, _folder: Some(folder), cluster: None }
    }

    pub async fn kafka() -> Self {
        let clock = SteppedClock::new();
        let cluster = MockCluster::new(1).unwrap();
        let mut config = KafkaConfig::new(cluster.bootstrap_servers());
        // This cluster waits for most of a session before each rebalance, and 3 seconds before the first one.
        for (key, value) in [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "200")] {
            config.properties.insert(key.to_owned(), value.to_owned());
        }
        let log = KafkaLog::new(config, clock.clone()).unwrap();
        Self { log: Arc::new(log), clock, trims: false, _folder: None, cluster: Some(cluster) }
    }

    #[cfg(feature = "service-tests")]
    pub async fn real_kafka() -> Self {
        let clock = SteppedClock::new();
        let log = super::service::kafka(clock.clone());
        Self { log, clock, trims: false, _folder: None, cluster: None }
    }

    /// Makes a topic and gives its partitions.
    pub async fn topic(&self, name: &str, partitions: u32) -> Vec<SourcePartition> {
        self.make_topic(name, partitions).await;
        self.log.partitions(name).await.unwrap()
    }

    /// Makes a topic of one partition and gives that.
    pub async fn partition(&self, name: &str) -> SourcePartition {
        self.topic(name, 1).await.remove(0)
    }

    pub async fn make_topic(&self, name: &str, partitions: u32) {
        if let Some(cluster) = &self.cluster {
            cluster.create_topic(name, partitions.try_into().unwrap(), 1).unwrap();
        }
        self.log.create_topic(name, partitions).await.unwrap();
    }

    pub async fn read(&self, partition: &SourcePartition, from: u64, limit: ReadLimit) -> Fetched {
        self.log.read(partition, Offset::new(from), limit, LONG).await.unwrap()
    }

    /// Reads `[from, to)` to the end.
    pub async fn read_span(&self, partition: &SourcePartition, from: u64, to: u64) -> Vec<LogRecord> {
        let mut records = Vec::new();
        let mut next = Offset::new(from);
        while next < Offset::new(to) {
            let limit = ReadLimit { before: Some(Offset::new(to)), ..plenty() };
            let fetched = self.read(partition, next.get(), limit).await;
            assert!(fetched.next > next, "a read of {next} below {to} brought nothing");
            records.extend(fetched.records);
            next = fetched.next;
        }
        records
    }
}

/// A limit that no test reaches.
pub const fn plenty() -> ReadLimit {
    ReadLimit { records: 100_000, bytes: 64 << 20, before: None }
}

/// A message with a key and a text.
pub fn message(key: &str, text: &str) -> NewRecord {
    NewRecord {
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        payload: Some(Bytes::copy_from_slice(text.as_bytes())),
        headers: Vec::new(),
    }
}

/// Messages `0`, `1`, ... of one key.
pub fn numbered(count: usize) -> Vec<NewRecord> {
    (0..count).map(|number| message("meter-0001", &number.to_string())).collect()
}

/// The payloads as texts.
pub fn texts(records: &[LogRecord]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.payload.clone().unwrap().to_vec()).unwrap()).collect()
}

/// The offsets as numbers.
pub fn offsets(records: &[LogRecord]) -> Vec<u64> {
    records.iter().map(|record| record.offset.get()).collect()
}
