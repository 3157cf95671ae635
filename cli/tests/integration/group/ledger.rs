//! What the producer knows to be durable, and the invariants I1 to I4 held against it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    checkpoint::OffsetSpan,
    lake::SegmentLake,
    log::{NewRecord, SharedLog},
    position::{Offset, PartitionId, SourcePosition},
    reading::Reading,
    stream::{Decoder, StreamProfile},
};
use tokio::task::JoinHandle;

use super::{
    cluster::Cluster,
    member::Member,
    readings::{Readings, padded, readings_of},
    rest::come_to_rest,
    topic::read_topic,
};
use crate::hourly_totals::HourlyTotals;

const BATCH: usize = 100;
/// 1,000 readings a second.
const BATCH_INTERVAL: Duration = Duration::from_millis(100);

/// A reading that was sent.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    device: String,
    time: DateTime<Utc>,
    measures: Vec<Option<f64>>,
}

impl From<Reading> for Sent {
    fn from(reading: Reading) -> Self {
        Self {
            device: reading.device.to_string(),
            time: reading.event_time,
            measures: reading.measures.into_iter().collect(),
        }
    }
}

type Sents = BTreeMap<SourcePosition, Sent>;

/// A producer at work, and its ledger.
pub struct Producer {
    wire: Wire,
    seed: u32,
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
        let enough = Arc::<AtomicBool>::default();
        let wire = Wire { log: cluster.log.clone(), profile: cluster.profile.clone(), sent: Arc::default() };
        let task = tokio::spawn(produce(wire.clone(), readings_of(&cluster.profile, seed), Arc::clone(&enough)));
        Self { wire, seed, enough, task }
    }

    /// Sends so many readings at once beside the others, each with so many bytes that say nothing.
    pub async fn burst(&self, readings: usize, padding: usize) {
        let mut next = readings_of(&self.wire.profile, self.seed + 50);
        for _ in 0..readings.div_ceil(BATCH) {
            self.wire.send((0..BATCH).map(|_| padded(next(), padding)).collect()).await;
        }
    }

    /// How many readings were acknowledged so far.
    pub fn count(&self) -> u64 {
        self.wire.sent.lock().unwrap().len() as u64
    }

    /// Stops it.
    pub async fn finish(self) -> Ledger {
        self.enough.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        Ledger { sent: std::mem::take(&mut *self.wire.sent.lock().unwrap()), lost: BTreeSet::new() }
    }
}

/// Where readings go, and where it is noted that they arrived.
#[derive(Clone)]
struct Wire {
    log: SharedLog,
    profile: StreamProfile,
    sent: Arc<Mutex<Sents>>,
}

impl Wire {
    async fn send(&self, records: Vec<NewRecord>) {
        let decoder = Decoder::new(&self.profile);
        let positions = self.log.append(&self.profile.topic, &records).await.unwrap();
        let readings = records.iter().map(|record| decoder.decode(record.payload.as_deref().unwrap()).unwrap().into());
        self.sent.lock().unwrap().extend(positions.into_iter().zip(readings));
    }
}

async fn produce(wire: Wire, mut next: Readings, enough: Arc<AtomicBool>) {
    let mut ticker = tokio::time::interval(BATCH_INTERVAL);
    while !enough.load(Ordering::Relaxed) {
        ticker.tick().await;
        wire.send((0..BATCH).map(|_| next()).collect()).await;
    }
}

/// Brings the group to rest, then checks I1 to I4.
pub async fn ends_well(cluster: &Cluster, ledger: Ledger, members: Vec<Member>) {
    assert!(ledger.len() > 1_000, "only {} readings were sent: the test tried too little", ledger.len());
    come_to_rest(cluster, members).await;
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
        assert!(anomalies * 2_000 > self.sent.len(), "only {anomalies} anomalies: the test judged too little");
    }

    /// I1.
    async fn the_lake_holds_every_position_once(&self, cluster: &Cluster) {
        let mut held = Vec::new();
        for partition in cluster.views.known_partitions(&cluster.profile.name).await.unwrap() {
            let whole = OffsetSpan { from: Offset::ZERO, to: Offset::new(u64::MAX) };
            for row in cluster.lake.read_readings(&cluster.profile, &partition, whole).await.unwrap() {
                held.push((row.position, Sent::from(row.reading)));
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
        let first = self.sent.values().filter_map(|sent| Some((sent.time, sent.measures[0]?)));
        let expected = HourlyTotals::of(&cluster.profile.measures[0].name, first);
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
