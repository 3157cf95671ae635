//! What a producer sends: readings of the stream's own simulator, or of simple meters where a stream has none.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{log::NewRecord, stream::StreamProfile};
use kilowatch_speed::simulate::{Injection, SimulatedStream, SimulationOptions, Simulator, csv::instant_of};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Whole rounds of them send about once a second at the pace of a test, so that event time runs neither too slow for a
/// detector nor too fast for a list of hours.
const DEVICES: u32 = 20;

/// More than the profiles state: a test of a minute has to have something to find.
const INJECTED_SHARE: f64 = 0.05;

/// One message after the other, without an end.
pub type Readings = Box<dyn FnMut() -> NewRecord + Send>;

/// When the readings of a seed begin. Two producers of one test do not repeat each other's readings. Long ago, since fifty
/// minutes pass in a second: what is ahead of the log's clock by more than an hour waits for it.
pub fn start(seed: u32) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(10_000 + 100 * i64::from(seed))
}

/// The readings of a stream.
pub fn readings_of(profile: &StreamProfile, seed: u32) -> Readings {
    match SimulatedStream::find(profile.name.as_str()) {
        Some(simulated) => simulated_readings(simulated, profile, seed),
        None => meters(seed),
    }
}

fn simulated_readings(simulated: &SimulatedStream, profile: &StreamProfile, seed: u32) -> Readings {
    let injection = Injection::of_share(INJECTED_SHARE);
    let options =
        SimulationOptions { devices: Some(DEVICES), ..SimulationOptions::new(profile, seed.into(), injection) };
    let mut simulator: Box<dyn Simulator> = simulated.open(&options);
    let (start, interval, mut number) = (start(seed), TimeDelta::minutes(1), 0);
    Box::new(move || {
        let at = instant_of(start, interval, simulator.devices(), number);
        number += 1;
        simulator.next_record(at).unwrap().expect("there are devices")
    })
}

/// Mostly a steady load, now and then one that three-sigma has to notice.
fn meters(seed: u32) -> Readings {
    let mut random = ChaCha8Rng::seed_from_u64(seed.into());
    let (start, mut number) = (start(seed), 0);
    Box::new(move || {
        number += 1;
        let power = if random.random_bool(0.01) { 25.0 } else { f64::from(random.random_range(100..150)) / 100.0 };
        let device = format!("meter-{:04}", number % i64::from(DEVICES));
        let time = start + TimeDelta::minutes(number / i64::from(DEVICES));
        let body = serde_json::json!({"device_id": device, "timestamp": time, "active_power": power});
        NewRecord { key: Some(Bytes::from(device)), payload: Some(Bytes::from(body.to_string())), headers: Vec::new() }
    })
}

/// The same message with so many bytes more, which say nothing.
pub fn padded(record: NewRecord, bytes: usize) -> NewRecord {
    let mut body: serde_json::Value = serde_json::from_slice(record.payload.as_deref().unwrap()).unwrap();
    body["note"] = "x".repeat(bytes).into();
    NewRecord { payload: Some(Bytes::from(body.to_string())), ..record }
}
