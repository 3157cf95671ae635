//! What every simulated stream promises: the same seed, the same messages; payloads that its own profile decodes; a truth
//! that travels beside them; and values that its system could show.

mod detection;
mod files;
mod payloads;
mod plausibility;

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    log::NewRecord,
    reading::Reading,
    stream::{Decoder, StreamProfile, StreamRegistry, decode::INJECTED_HEADER},
};

use super::{Injection, SimulatedStream, SimulationOptions, csv::instant_of};

pub(super) const STREAMS: [&str; 5] = ["household", "power-plant", "campus", "sensor", "grid"];

pub(super) fn profile(stream: &str) -> StreamProfile {
    StreamRegistry::built_in().unwrap().find(&stream.parse().unwrap()).unwrap().clone()
}

pub(super) fn start() -> DateTime<Utc> {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

/// So many rounds of a stream's devices, `interval` apart.
pub(super) fn records(
    stream: &str,
    seed: u64,
    injection: Injection,
    interval: TimeDelta,
    rounds: u64,
) -> Vec<(DateTime<Utc>, NewRecord)> {
    run(stream, seed, injection, start(), interval, rounds).collect()
}

/// The same from another start, one after the other.
pub(super) fn run(
    stream: &str,
    seed: u64,
    injection: Injection,
    from: DateTime<Utc>,
    interval: TimeDelta,
    rounds: u64,
) -> impl Iterator<Item = (DateTime<Utc>, NewRecord)> {
    let simulated = SimulatedStream::find(stream).unwrap();
    let mut simulator = simulated.open(&SimulationOptions::new(&profile(stream), seed, injection));
    let devices = simulator.devices();
    (0..rounds * devices as u64).map(move |message| {
        let at = instant_of(from, interval, devices, message);
        (at, simulator.next_record(at).unwrap().unwrap())
    })
}

/// The same, decoded by the stream's profile, with the truth from the header.
pub(super) fn readings(
    stream: &str,
    seed: u64,
    injection: Injection,
    interval: TimeDelta,
    rounds: u64,
) -> Vec<Reading> {
    let decoder = Decoder::new(&profile(stream));
    let decoded = |(_, record): (DateTime<Utc>, NewRecord)| Reading {
        injected: truth(&record).map(Into::into),
        ..decoder.decode(&record.payload.unwrap()).unwrap()
    };
    records(stream, seed, injection, interval, rounds).into_iter().map(decoded).collect()
}

pub(super) fn truth(record: &NewRecord) -> Option<&str> {
    let (_, kind) = record.headers.iter().find(|(name, _)| name == INJECTED_HEADER)?;
    Some(std::str::from_utf8(kind).unwrap())
}
