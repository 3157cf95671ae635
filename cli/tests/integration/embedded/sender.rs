//! A client that posts 2,000 readings a second and knows which of them are durable.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const DEVICES: usize = 5;
const BATCH: usize = 100;
const BATCH_INTERVAL: Duration = Duration::from_millis(50);

/// Device and event time of a reading.
pub type Key = (String, DateTime<Utc>);

/// What the sender knows to be durable, by offset.
pub type Ledger = Arc<Mutex<BTreeMap<u64, Key>>>;

/// Sends batches until `enough`; a batch without an answer is sent again, as a careful client does.
pub async fn send(url: Arc<Mutex<String>>, ledger: Ledger, enough: Arc<AtomicBool>, seed: u64) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 1);
    // Long ago, since hours pass in a second: what is ahead of the log's clock by more than an hour waits for it.
    let start = DateTime::parse_from_rfc3339("2007-03-01T00:00:00Z").unwrap().to_utc();
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
