//! I1, I2 and I4 under `kill -9`: 2,000 readings a second flow in over HTTP while the process dies twenty times.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    anomaly::Anomaly,
    checkpoint::OffsetSpan,
    clock::SystemClock,
    lake::{SegmentLake, delta::DeltaLake, store::LakeStore},
    log,
    position::{Offset, PartitionId, StreamName},
    reading::LakeReading,
    rollup::{Partial, window_start},
    stream::{StreamProfile, StreamRegistry},
    views::{self, SharedViews, UsageQuery},
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::process::{Running, kilowatch, run};

const KILLS: usize = 20;
const DEVICES: usize = 5;
const BATCH: usize = 100;
const BATCH_INTERVAL: Duration = Duration::from_millis(50);

/// Device and event time of a reading.
type Key = (String, DateTime<Utc>);

/// What the sender knows to be durable, by offset.
type Ledger = Arc<Mutex<BTreeMap<u64, Key>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_double_nothing_and_change_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let seed = 20_261_121;
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let url = Arc::new(Mutex::new(String::new()));
    let ledger = Ledger::default();
    let enough = Arc::new(AtomicBool::new(false));
    let sender = tokio::spawn(send(Arc::clone(&url), Arc::clone(&ledger), Arc::clone(&enough), seed));

    for kill in 0..KILLS {
        let process = tokio::task::block_in_place(|| Running::start(&mut up(&data)));
        url.lock().unwrap().clone_from(&process.url);
        // No condition to wait for: the moment is what the test draws. Early ones hit the claim and the restore.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1500))).await;
        tokio::task::block_in_place(|| {
            if kill % 5 == 4 {
                // The boundary has to move between the kills, or the seam would never be tried.
                let published = run(&data, &["batch", "rollup"]);
                assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
            }
            process.kill();
        });
    }
    let process = tokio::task::block_in_place(|| Running::start(&mut up(&data)));
    url.lock().unwrap().clone_from(&process.url);
    enough.store(true, Ordering::Relaxed);
    sender.await.unwrap();
    assert_eq!(tokio::task::block_in_place(|| process.stop()), Some(0));
    drain(&data);

    let end = Ended::read(&data).await;
    let acknowledged = ledger.lock().unwrap().clone();
    println!("{} messages, {} acknowledged readings, {} anomalies", end.high, acknowledged.len(), end.anomalies.len());
    let verified = tokio::task::block_in_place(|| run(&data, &["batch", "verify"]));
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    assert!(acknowledged.len() > 10_000, "only {} readings were sent: the test tried too little", acknowledged.len());
    end.nothing_is_lost_and_nothing_is_twice(&acknowledged);
    end.merged_usage_equals_a_recomputation().await;
    a_replay_finds_the_same_anomalies(&data, folder.path(), &end).await;
}

fn up(data: &Path) -> Command {
    let mut command = kilowatch(data, &["--listen", "127.0.0.1:0", "up", "--no-simulator"]);
    // Short windows and segments put many commits between two kills.
    command.env("KILOWATCH_SPEED__WINDOW_MS", "100").env("KILOWATCH_SPEED__SEGMENT_MS", "1000");
    command
}

fn drain(data: &Path) {
    let output = run(data, &["--json", "speed", "run", "--until-caught-up"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Sends batches until `enough`; a batch without an answer is sent again, as a careful client does.
async fn send(url: Arc<Mutex<String>>, ledger: Ledger, enough: Arc<AtomicBool>, seed: u64) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 1);
    let start = DateTime::parse_from_rfc3339("2026-03-01T00:00:00Z").unwrap().to_utc();
    let mut minute = 0;
    // Late ticks are made up for: what a slow answer costs must not lower the rate.
    let mut ticker = tokio::time::interval(BATCH_INTERVAL);
    while !enough.load(Ordering::Relaxed) {
        let batch: Vec<_> = (0..BATCH)
            .map(|index| {
                minute += i64::from(index % DEVICES == 0);
                (format!("meter-{:04}", index % DEVICES), start + TimeDelta::minutes(minute), power(&mut random))
            })
            .collect();
        let body: Vec<_> = batch
            .iter()
            .map(|(device, time, power)| serde_json::json!({"device_id": device, "timestamp": time, "active_power": power, "voltage": 240.0}))
            .collect();
        let offsets = loop {
            ticker.tick().await;
            let target = format!("{}/api/readings?stream=household", url.lock().unwrap());
            match post(&client, &target, &body).await {
                Some(offsets) => break offsets,
                None if enough.load(Ordering::Relaxed) => return,
                None => ticker.reset(),
            }
        };
        assert_eq!(offsets.len(), batch.len(), "an acknowledgement of a part");
        let keys = batch.into_iter().map(|(device, time, _)| (device, time));
        ledger.lock().unwrap().extend(offsets.into_iter().zip(keys));
    }
}

/// The offsets of an acknowledged batch; `None` if it was not acknowledged, or the acknowledgement got lost.
async fn post(client: &reqwest::Client, target: &str, body: &[serde_json::Value]) -> Option<Vec<u64>> {
    let answer = client.post(target).json(body).send().await.ok()?;
    if answer.status() != reqwest::StatusCode::OK {
        return None;
    }
    let answer: serde_json::Value = answer.json().await.ok()?;
    let positions = answer["data"]["positions"].as_array().unwrap();
    let offset = |position: &serde_json::Value| {
        position["position"].as_str().unwrap().rsplit_once('@').unwrap().1.parse().unwrap()
    };
    Some(positions.iter().map(offset).collect())
}

/// Mostly a steady load, now and then one that three-sigma has to notice.
fn power(random: &mut impl Rng) -> f64 {
    if random.random_bool(0.01) { 25.0 } else { 1.0 + random.random_range(0.0..0.5) }
}

/// Everything that is there after the last stop.
struct Ended {
    profile: StreamProfile,
    views: SharedViews,
    high: u64,
    readings: Vec<LakeReading>,
    anomalies: BTreeMap<String, Anomaly>,
}

impl Ended {
    async fn read(data: &Path) -> Self {
        let registry = StreamRegistry::built_in().unwrap();
        let profile = registry.find(&StreamName::parse("household").unwrap()).unwrap().clone();
        let log_path = data.join("log.sqlite");
        let log = log::open(log_path.to_str().unwrap(), Arc::new(SystemClock)).await.unwrap();
        let source = log.partitions(&profile.topic).await.unwrap().remove(0);
        let high = log.watermarks(&source).await.unwrap().high;
        let partition =
            PartitionId { stream: profile.name.clone(), source: source.source, partition: source.partition };
        let lake = DeltaLake::new(
            LakeStore::open(data.join("lake").to_str().unwrap(), &BTreeMap::new()).unwrap(),
            Arc::new(SystemClock),
        );
        let whole = OffsetSpan { from: Offset::ZERO, to: high };
        let readings = lake.read_readings(&profile, &partition, whole).await.unwrap();
        let views = views::open(data.join("views.sqlite").to_str().unwrap()).await.unwrap();
        let applied = views.partition(&partition).await.unwrap().unwrap().applied;
        assert_eq!(applied, high, "speed did not apply everything");
        let found = views.anomalies_of(&partition).await.unwrap();
        assert!(found.len() > 50, "only {} anomalies: the test judges too little", found.len());
        let anomalies = found.into_iter().map(|anomaly| (anomaly.id.clone(), anomaly)).collect();
        Self { profile, views, high: high.get(), readings, anomalies }
    }

    /// I1.
    fn nothing_is_lost_and_nothing_is_twice(&self, acknowledged: &BTreeMap<u64, Key>) {
        let offsets: Vec<u64> = self.readings.iter().map(|row| row.position.offset.get()).collect();
        let expected: Vec<u64> = (0..self.high).collect();
        assert_eq!(offsets, expected, "the lake does not hold every offset exactly once");
        let key = |row: &LakeReading| -> Key { (row.reading.device.to_string(), row.reading.event_time) };
        // Offsets are gapless, so an offset is an index.
        let rows = &self.readings;
        let lost = acknowledged
            .iter()
            .find(|(offset, sent)| rows.get(usize::try_from(**offset).unwrap()).map(key).as_ref() != Some(*sent));
        assert_eq!(lost, None, "the lake does not hold what was acknowledged");
        let counted: Vec<Key> = rows.iter().filter(|row| !row.is_duplicate).map(key).collect();
        let distinct: BTreeSet<&Key> = counted.iter().collect();
        assert_eq!(counted.len(), distinct.len(), "a reading counts twice");
        let uncounted = acknowledged.values().find(|sent| !distinct.contains(sent));
        assert_eq!(uncounted, None, "an acknowledged reading does not count");
    }

    /// I2.
    async fn merged_usage_equals_a_recomputation(&self) {
        let mut expected: BTreeMap<DateTime<Utc>, Partial> = BTreeMap::new();
        for row in self.readings.iter().filter(|row| !row.is_duplicate) {
            let value = row.reading.measures[0].unwrap();
            expected
                .entry(window_start(row.reading.event_time, 3600))
                .or_insert(Partial::EMPTY)
                .merge(&Partial::of(value));
        }
        let query = UsageQuery {
            stream: self.profile.name.clone(),
            device: None,
            group: None,
            measure: "active_power".to_owned(),
            window_secs: 3600,
            from: DateTime::UNIX_EPOCH,
            until: DateTime::UNIX_EPOCH + TimeDelta::days(40_000),
            limit: 10_000,
        };
        let usage = self.views.usage(&query).await.unwrap();
        assert!(usage.boundary.lake_version.is_some(), "batch never published: the seam was not tried");
        assert!(
            usage.windows.iter().any(|w| w.batch_count > 0 && w.batch_count < w.partial.count)
                || usage.windows.iter().any(|w| w.batch_count == 0),
            "speed answers nothing: the seam was not tried"
        );
        assert_eq!(usage.windows.len(), expected.len());
        for window in usage.windows {
            let truth = expected[&window.start];
            let served = window.partial;
            assert_eq!((served.count, served.min, served.max), (truth.count, truth.min, truth.max), "{}", window.start);
            assert!(
                (served.sum - truth.sum).abs() <= 1e-9 * truth.sum.abs(),
                "{}: {} is not {}",
                window.start,
                served.sum,
                truth.sum
            );
        }
    }
}

/// I4: the same log into an empty lake and empty views.
async fn a_replay_finds_the_same_anomalies(data: &Path, folder: &Path, end: &Ended) {
    let replay = folder.join("replay");
    std::fs::create_dir(&replay).unwrap();
    for name in ["log.sqlite", "log.sqlite-wal"] {
        if data.join(name).exists() {
            std::fs::copy(data.join(name), replay.join(name)).unwrap();
        }
    }
    drain(&replay);
    let again = Ended::read(&replay).await;
    assert_eq!(again.readings.len(), end.readings.len());
    assert_eq!(again.anomalies, end.anomalies, "a replay judges differently");
}
