//! How many messages a second does the log take and give, durably? The embedded one, and Kafka if it is named.
//!
//! `[TEST_KAFKA_BROKERS=host:port] cargo bench -p kilowatch-shared --bench how_many_messages_pass_the_log_per_sec`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints its answer and may fail loudly")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use kilowatch_shared::{
    clock::SystemClock,
    log::{self, NewRecord, ReadLimit, SharedLog},
    position::Offset,
};

const BULK: usize = 500_000;
const WRITERS: usize = 64;
const CALLS: usize = 200;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.sqlite").display().to_string();
    let kafka = std::env::var("TEST_KAFKA_BROKERS").map(|brokers| format!("kafka://{brokers}"));
    for url in std::iter::once(file).chain(kafka) {
        println!("{url}");
        measure(log::open(&url, Arc::new(SystemClock)).await.unwrap()).await;
    }
}

async fn measure(log: SharedLog) {
    let topic: &str = &format!("energy.{}", std::process::id());
    log.create_topic(topic, 1).await.unwrap();
    let partition = log.partitions(topic).await.unwrap().remove(0);

    let started = Instant::now();
    let messages: Vec<NewRecord> = (0..1000).map(reading).collect();
    for _ in 0..BULK / messages.len() {
        log.append(topic, &messages).await.unwrap();
    }
    tell("appended in calls of 1,000, one after another", BULK, started);

    for (what, records) in [("read in micro-batches of 1,000", 1000), ("read in micro-batches of 10,000", 10_000)] {
        let started = Instant::now();
        let (mut next, mut seen) = (Offset::ZERO, 0);
        let limit = ReadLimit { records, bytes: 16 << 20, before: None };
        while seen < BULK {
            let fetched = log.read(&partition, next, limit, Duration::from_secs(10)).await.unwrap();
            seen += fetched.records.len();
            next = fetched.next;
        }
        tell(what, seen, started);
    }

    let started = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (log, topic) = (log.clone(), topic.to_owned());
            tokio::spawn(async move {
                for call in 0..CALLS {
                    log.append(&topic, &[reading(writer * CALLS + call)]).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    tell("appended one by one by 64 callers at once, each waiting for the disk", WRITERS * CALLS, started);

    let started = Instant::now();
    for call in 0..CALLS {
        log.append(topic, &[reading(call)]).await.unwrap();
    }
    tell("appended one by one by one caller", CALLS, started);
}

/// A household reading as it is on the wire.
fn reading(number: usize) -> NewRecord {
    let payload = format!(
        "{{\"device_id\":\"meter-{:04}\",\"timestamp\":\"2007-01-01T00:00:00Z\",\"active_power\":2.58,\"reactive_power\":0.136,\
         \"voltage\":241.97,\"current\":10.6,\"sub_metering_1\":0,\"sub_metering_2\":0,\"sub_metering_3\":{number}}}",
        number % 100,
    );
    NewRecord {
        key: Some(Bytes::from(format!("meter-{:04}", number % 100))),
        payload: Some(Bytes::from(payload)),
        headers: Vec::new(),
    }
}

fn tell(what: &str, messages: usize, started: Instant) {
    let elapsed = started.elapsed();
    let per_sec = messages as f64 / elapsed.as_secs_f64();
    println!("{what}: {per_sec:.0} messages/s ({messages} in {:.2} s)", elapsed.as_secs_f64());
}
