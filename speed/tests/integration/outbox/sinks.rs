//! What every sink promises. Each case runs on every implementation.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use kilowatch_shared::{
    clock::SystemClock,
    log::{LogRecord, ReadLimit, SharedLog, memory::MemoryLog, sqlite::SqliteLog},
    outbox::OutboxEntry,
    position::{Offset, SourceId, SourcePosition},
};
use kilowatch_speed::outbox::{ID_HEADER, LogSink, MemorySink, Sink};
use tempfile::TempDir;

const LIMIT: ReadLimit = ReadLimit { records: 1000, bytes: 1 << 24, before: None };

/// A sink, and what a receiver behind it sees.
struct Subject {
    sink: Arc<dyn Sink>,
    behind: Behind,
    topic: String,
}

enum Behind {
    Memory(Arc<MemorySink>),
    Log(SharedLog, #[expect(dead_code, reason = "held, and removed when dropped")] Option<TempDir>),
}

/// What a receiver gets: id, key, payload, headers.
type Received = (String, Option<Bytes>, Option<Bytes>, Vec<(String, String)>);

impl Subject {
    async fn memory() -> Self {
        let sink = Arc::new(MemorySink::default());
        Self { sink: sink.clone(), behind: Behind::Memory(sink), topic: "anomalies".to_owned() }
    }

    async fn memory_log() -> Self {
        Self::over(Arc::new(MemoryLog::new(Arc::new(SystemClock))), None)
    }

    async fn embedded_log() -> Self {
        let folder = TempDir::new().unwrap();
        let log = SqliteLog::open(folder.path().join("log.sqlite"), Arc::new(SystemClock)).await.unwrap();
        Self::over(Arc::new(log), Some(folder))
    }

    #[cfg(feature = "service-tests")]
    async fn kafka() -> Self {
        use kilowatch_shared::log::kafka::{KafkaConfig, KafkaLog};
        let brokers = std::env::var("TEST_KAFKA_BROKERS")
            .unwrap_or_else(|_| panic!("TEST_KAFKA_BROKERS is not set: run this under dev/services"));
        Self::over(Arc::new(KafkaLog::new(KafkaConfig::new(brokers), Arc::new(SystemClock)).unwrap()), None)
    }

    fn over(log: SharedLog, folder: Option<TempDir>) -> Self {
        let topic = format!("anomalies-{}", uuid::Uuid::new_v4());
        Self { sink: Arc::new(LogSink::new(log.clone(), 3)), behind: Behind::Log(log, folder), topic }
    }

    fn entry(&self, offset: u64, key: &str) -> OutboxEntry {
        let source = SourceId::parse("log:test:readings").unwrap();
        OutboxEntry {
            position: SourcePosition { source, partition: 0, offset: Offset::new(offset) },
            id: format!("id-{offset}"),
            topic: self.topic.clone(),
            key: Some(Bytes::from(key.to_owned())),
            payload: Some(Bytes::from(format!("{{\"n\":{offset}}}"))),
            headers: vec![("kilowatch-stream".to_owned(), "test".to_owned())],
        }
    }

    /// Everything that arrived on a topic, the order within each key kept.
    async fn received(&self, topic: &str) -> Vec<Received> {
        match &self.behind {
            Behind::Memory(sink) => {
                let entries = sink.entries().into_iter().filter(|entry| entry.topic == topic);
                entries.map(|entry| (entry.id, entry.key, entry.payload, entry.headers)).collect()
            }
            Behind::Log(log, _) => read_all(log, topic).await.into_iter().map(as_received).collect(),
        }
    }
}

async fn read_all(log: &SharedLog, topic: &str) -> Vec<LogRecord> {
    let mut records = Vec::new();
    for partition in log.partitions(topic).await.unwrap() {
        let mut at = Offset::ZERO;
        while at < log.watermarks(&partition).await.unwrap().high {
            let fetched = log.read(&partition, at, LIMIT, Duration::from_secs(20)).await.unwrap();
            at = fetched.next;
            records.extend(fetched.records);
        }
    }
    records
}

fn as_received(record: LogRecord) -> Received {
    let text = |value: &Bytes| String::from_utf8(value.to_vec()).unwrap();
    let mut headers: Vec<(String, String)> =
        record.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let at =
        headers.iter().position(|(name, _)| name == ID_HEADER).unwrap_or_else(|| panic!("no id among {headers:?}"));
    let (_, id) = headers.remove(at);
    (id, record.key, record.payload, headers)
}

async fn what_is_delivered_arrives_whole_and_in_the_order_of_its_key(subject: Subject) {
    let entries: Vec<_> =
        (0..60).map(|n| subject.entry(n, ["meter-a", "meter-b", "meter-c"][n as usize % 3])).collect();
    subject.sink.deliver(&entries[..40]).await.unwrap();
    subject.sink.deliver(&entries[40..]).await.unwrap();
    let mut by_key: BTreeMap<Bytes, Vec<Received>> = BTreeMap::new();
    for received in subject.received(&subject.topic).await {
        by_key.entry(received.1.clone().unwrap()).or_default().push(received);
    }
    let mut expected: BTreeMap<Bytes, Vec<Received>> = BTreeMap::new();
    for entry in entries {
        let received = (entry.id, entry.key.clone(), entry.payload, entry.headers);
        expected.entry(entry.key.unwrap()).or_default().push(received);
    }
    assert_eq!(by_key, expected);
}

async fn what_is_delivered_twice_has_one_id(subject: Subject) {
    let entry = subject.entry(7, "meter-a");
    for _ in 0..2 {
        subject.sink.deliver(std::slice::from_ref(&entry)).await.unwrap();
    }
    let ids: Vec<String> = subject.received(&subject.topic).await.into_iter().map(|received| received.0).collect();
    assert!(ids.iter().all(|id| *id == entry.id) && !ids.is_empty(), "{ids:?}");
}

async fn entries_of_several_topics_go_to_theirs(subject: Subject) {
    let other = format!("{}.dead-letters", subject.topic);
    let entries: Vec<_> = (0..6)
        .map(|n| {
            let entry = subject.entry(n, "meter-a");
            if n % 2 == 0 { entry } else { OutboxEntry { topic: other.clone(), ..entry } }
        })
        .collect();
    subject.sink.deliver(&entries).await.unwrap();
    let ids = async |topic: &str| -> Vec<String> {
        subject.received(topic).await.into_iter().map(|received| received.0).collect()
    };
    assert_eq!(ids(&subject.topic).await, ["id-0", "id-2", "id-4"]);
    assert_eq!(ids(&other).await, ["id-1", "id-3", "id-5"]);
}

async fn a_message_may_lack_key_and_body(subject: Subject) {
    let bare = OutboxEntry { key: None, payload: None, headers: Vec::new(), ..subject.entry(1, "") };
    subject.sink.deliver(std::slice::from_ref(&bare)).await.unwrap();
    assert_eq!(subject.received(&subject.topic).await, [(bare.id, None, None, Vec::new())]);
}

macro_rules! keeps_the_contract {
    ($test:ident on $implementation:ident) => {
        mod $test {
            use super::Subject;
            keeps_the_contract!(@cases $implementation:
                what_is_delivered_arrives_whole_and_in_the_order_of_its_key,
                what_is_delivered_twice_has_one_id,
                entries_of_several_topics_go_to_theirs,
                a_message_may_lack_key_and_body,
            );
        }
    };
    (@cases $implementation:ident: $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                super::$case(Subject::$implementation().await).await;
            }
        )+
    };
}

keeps_the_contract!(in_memory on memory);
keeps_the_contract!(in_the_log_in_memory on memory_log);
keeps_the_contract!(in_the_embedded_log on embedded_log);
#[cfg(feature = "service-tests")]
keeps_the_contract!(in_kafka on kafka);

#[tokio::test]
async fn a_log_that_is_away_is_an_error_and_the_next_try_goes_through() {
    let log = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
    let subject = Subject::over(log.clone(), None);
    let entry = subject.entry(1, "meter-a");
    log.fail("the brokers are away");
    let error = subject.sink.deliver(std::slice::from_ref(&entry)).await.unwrap_err();
    assert!(error.to_string().contains("the brokers are away"), "{error}");
    log.recover();
    subject.sink.deliver(std::slice::from_ref(&entry)).await.unwrap();
    assert_eq!(subject.received(&subject.topic).await.len(), 1);
}
