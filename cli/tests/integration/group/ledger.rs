//! What the producer knows to be durable, and the invariants I1 to I4 held against it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::OffsetSpan,
    lake::SegmentLake,
    log::{NewRecord, SharedLog},
    position::{Offset, PartitionId, SourcePosition},
};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use tokio::task::JoinHandle;

use super::{cluster::Cluster, member::Member, topic::read_topic};
use crate::hourly_power::HourlyPower;

const DEVICES: i64 = 20;
const BATCH: i64 = 100;
/// 1,000 readings a second.
const BATCH_INTERVAL: Duration = Duration::from_millis(100);

/// A reading that was sent.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    device: String,
    time: DateTime<Utc>,
    power: f64,
}

type Sents = BTreeMap<SourcePosition, Sent>;

/// A producer at work, and its ledger.
pub struct Producer {
    sent: Arc<Mutex<Sents>>,
    enough: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// Everything that was acknowledged.
pub struct Ledger {
    sent: Sents,
    /// Given up by an operator: what was told of it stays told.
    lost: BTreeSet<String>,
}

impl Producer {
    /// Sends until it is told that it is enough.
    pub fn start(cluster: &Cluster, seed: u32) -> Self {
        let (sent, enough) = (Arc::default(), Arc::<AtomicBool>::default());
        let (log, topic) = (cluster.log.clone(), cluster.profile.topic.clone());
        let task = tokio::spawn(produce(log, topic, seed, Arc::clone(&sent), Arc::clone(&enough)));
        Self { sent, enough, task }
    }

    /// How many readings were acknowledged so far.
    pub fn count(&self) -> u64 {
        self.sent.lock().unwrap().len() as u64
    }

    /// Stops it.
    pub async fn finish(self) -> Ledger {
        self.enough.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        Ledger { sent: std::mem::take(&mut *self.sent.lock().unwrap()), lost: BTreeSet::new() }
    }
}

async fn produce(log: SharedLog, topic: String, seed: u32, sent: Arc<Mutex<Sents>>, enough: Arc<AtomicBool>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed.into());
    // Two producers of one test do not repeat each other's readings. Long ago, since fifty minutes pass in a second: what is
    // ahead of the log's clock by more than an hour waits for it.
    let start = DateTime::UNIX_EPOCH + TimeDelta::days(10_000 + 100 * i64::from(seed));
    let mut number = 0;
    let mut ticker = tokio::time::interval(BATCH_INTERVAL);
    while !enough.load(Ordering::Relaxed) {
        ticker.tick().await;
        let batch: Vec<Sent> = (0..BATCH)
            .map(|_| {
                number += 1;
                // Mostly a steady load, now and then one that three-sigma has to notice.
                let power =
                    if random.random_bool(0.01) { 25.0 } else { f64::from(random.random_range(100..150)) / 100.0 };
                let (device, time) =
                    (format!("meter-{:04}", number % DEVICES), start + TimeDelta::minutes(number / DEVICES));
                Sent { device, time, power }
            })
            .collect();
        let records: Vec<NewRecord> = batch.iter().map(record).collect();
        let positions = log.append(&topic, &records).await.unwrap();
        sent.lock().unwrap().extend(positions.into_iter().zip(batch));
    }
}

fn record(sent: &Sent) -> NewRecord {
    let body = serde_json::json!({"device_id": sent.device, "timestamp": sent.time, "active_power": sent.power});
    NewRecord {
        key: Some(Bytes::from(sent.device.clone())),
        payload: Some(Bytes::from(body.to_string())),
        headers: Vec::new(),
    }
}

/// Lets the members finish and stop, then checks I1 to I4.
pub async fn ends_well(cluster: &Cluster, ledger: Ledger, members: Vec<Member>) {
    assert!(ledger.len() > 1_000, "only {} readings were sent: the test tried too little", ledger.len());
    cluster.applied_everything().await;
    tokio::task::block_in_place(|| members.into_iter().for_each(Member::stop));
    ledger.hold_against(cluster).await;
}

impl Ledger {
    /// Both together.
    pub fn and(mut self, mut later: Self) -> Self {
        self.sent.append(&mut later.sent);
        self.lost.append(&mut later.lost);
        self
    }

    /// These messages are in no layer any more. Returns how many readings they were.
    pub fn lose(&mut self, partition: &PartitionId, gap: OffsetSpan) -> usize {
        let is_lost = |position: &SourcePosition| {
            position.source == partition.source
                && position.partition == partition.partition
                && (gap.from..gap.to).contains(&position.offset)
        };
        let lost: Vec<String> = self
            .sent
            .extract_if(.., |position, _| is_lost(position))
            .map(|(position, _)| position.to_string())
            .collect();
        let count = lost.len();
        self.lost.extend(lost);
        count
    }

    /// How many readings it holds.
    pub fn len(&self) -> usize {
        self.sent.len()
    }

    /// Holds lake, views and the topic of anomalies against the ledger, once everything is applied and told and every
    /// member has stopped.
    async fn hold_against(&self, cluster: &Cluster) {
        self.the_lake_holds_every_position_once(cluster).await;
        // Once answered by speed, or by speed and batch, and once by batch.
        self.usage_is_what_was_sent(cluster).await;
        cluster.run(&["batch", "rollup", "--stream", cluster.stream()]);
        self.usage_is_what_was_sent(cluster).await;
        let anomalies = self.every_anomaly_was_told_of(cluster).await;
        // I4: with the lake complete, that is each of them.
        let report = cluster.verify();
        println!("{} readings, {anomalies} anomalies; {report}", self.sent.len());
        assert_eq!(report["anomalies"]["checked"], anomalies);
        assert_eq!(report["replayed_readings"], self.sent.len());
        assert!(anomalies * 500 > self.sent.len(), "only {anomalies} anomalies: the test judged too little");
    }

    /// I1.
    async fn the_lake_holds_every_position_once(&self, cluster: &Cluster) {
        let mut held = Vec::new();
        for partition in cluster.views.known_partitions(&cluster.profile.name).await.unwrap() {
            let whole = OffsetSpan { from: Offset::ZERO, to: Offset::new(u64::MAX) };
            for row in cluster.lake.read_readings(&cluster.profile, &partition, whole).await.unwrap() {
                let reading = row.reading;
                let power = reading.measures[0].unwrap();
                held.push((row.position, Sent { device: reading.device.to_string(), time: reading.event_time, power }));
            }
        }
        let distinct: BTreeSet<_> = held.iter().map(|(position, _)| position.clone()).collect();
        assert_eq!(held.len(), distinct.len(), "the lake holds a position twice");
        let held: Sents = held.into_iter().collect();
        let lost = self.sent.iter().find(|(position, sent)| held.get(position) != Some(sent));
        assert_eq!(lost, None, "the lake does not hold what was acknowledged");
        let made_up = held.keys().find(|position| !self.sent.contains_key(position));
        assert_eq!(made_up, None, "the lake holds what nobody sent");
    }

    /// I2.
    async fn usage_is_what_was_sent(&self, cluster: &Cluster) {
        let expected = HourlyPower::of(self.sent.values().map(|sent| (sent.time, sent.power)));
        expected.is_served(&cluster.views, &cluster.profile.name).await;
    }

    /// Those of the views are those of the topic, where each stands at least once; what was lost may stand there as well.
    /// Returns how many there are.
    async fn every_anomaly_was_told_of(&self, cluster: &Cluster) -> usize {
        let mut found = BTreeSet::new();
        for partition in cluster.views.known_partitions(&cluster.profile.name).await.unwrap() {
            found.extend(cluster.views.anomalies_of(&partition).await.unwrap().into_iter().map(|anomaly| anomaly.id));
        }
        let told: BTreeSet<String> = read_topic(&cluster.log, &cluster.profile.anomalies_topic)
            .await
            .into_iter()
            .map(|(_, record)| serde_json::from_slice::<serde_json::Value>(&record.payload.unwrap()).unwrap())
            .filter(|message| !self.lost.contains(message["position"].as_str().unwrap()))
            .map(|message| message["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(told, found, "the topic of anomalies and the views disagree");
        found.len()
    }
}
