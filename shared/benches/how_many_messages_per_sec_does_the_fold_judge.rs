//! How many messages a second does the fold decode and judge on one core, with the household's detectors?
//!
//! `cargo bench -p kilowatch-shared --bench how_many_messages_per_sec_does_the_fold_judge`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints its answer and may fail loudly")]

use std::{collections::BTreeMap, hint::black_box, time::Instant};

use bytes::Bytes;
use chrono::DateTime;
use kilowatch_shared::{
    checkpoint::Pins,
    detect::{
        Folded, ModelSet, PartitionFold,
        isolation_forest::{ForestParams, TrainingRows, train},
    },
    log::LogRecord,
    model::ModelId,
    position::{Offset, PartitionId, SourceId},
    stream::{Decoder, StreamProfile, StreamRegistry},
};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

const DEVICES: u64 = 1000;
const MESSAGES: u64 = 500_000;

fn main() {
    let registry = StreamRegistry::built_in().unwrap();
    let profile = registry.iter().find(|profile| profile.name.as_str() == "household").unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let records: Vec<LogRecord> = (0..MESSAGES).map(|offset| record(offset, &mut rng)).collect();

    let decoder = Decoder::new(profile);
    let started = Instant::now();
    for record in &records {
        black_box(decoder.decode(record.payload.as_ref().unwrap()).unwrap());
    }
    tell("decoded", started);

    let mut plain = profile.clone();
    plain.detectors.clear();
    measure("folded without a detector", &plain, None, &records);
    plain.detectors = profile.detectors[..1].to_vec();
    measure("folded with three-sigma", &plain, None, &records);
    measure(
        "folded with three-sigma, isolation forest and the rule",
        profile,
        Some(forest(profile, &records)),
        &records,
    );
}

fn measure(what: &str, profile: &StreamProfile, model: Option<(ModelId, Bytes)>, records: &[LogRecord]) {
    let pinned = model.iter().map(|(id, _)| ("isolation_forest".to_owned(), id.clone()));
    let pins = Pins::of_this_build(profile, pinned.collect::<BTreeMap<_, _>>());
    let source = SourceId::parse("log:bench:energy-stream").unwrap();
    let partition = PartitionId { stream: profile.name.clone(), source, partition: 0 };
    let mut fold = PartitionFold::try_new(partition, &pins, &model.into_iter().collect::<ModelSet>()).unwrap();
    let started = Instant::now();
    let mut alarms = 0;
    for record in records {
        if let Folded::Reading { anomalies, .. } = black_box(fold.fold(record)) {
            alarms += anomalies.len();
        }
    }
    tell(what, started);
    println!("  {alarms} alarms, state of {} devices: {} bytes", DEVICES, fold.save().unwrap().len());
}

fn forest(profile: &StreamProfile, records: &[LogRecord]) -> (ModelId, Bytes) {
    let decoder = Decoder::new(profile);
    let features: Vec<String> = profile.measures.iter().map(|measure| measure.name.clone()).collect();
    let decoded = records.iter().take(50_000).map(|record| decoder.decode(record.payload.as_ref().unwrap()).unwrap());
    let values: Vec<f64> = decoded.flat_map(|reading| reading.measures).map(Option::unwrap).collect();
    let model = train(TrainingRows { features: &features, values: &values }, ForestParams::default(), 0.99, 1).unwrap();
    let bytes = Bytes::from(model.to_bytes().unwrap());
    (ModelId::of(&bytes), bytes)
}

fn record(offset: u64, rng: &mut ChaCha8Rng) -> LogRecord {
    let device = offset % DEVICES;
    let minute = DateTime::from_timestamp((offset / DEVICES * 60).cast_signed(), 0).unwrap();
    let (power, volts, kitchen): (f64, f64, u32) =
        (rng.random_range(0.2..4.0), rng.random_range(236.0..244.0), rng.random_range(0..40));
    let payload = format!(
        r#"{{"device_id":"meter-{device:04}","timestamp":"{}","active_power":{power:.3},"reactive_power":0.136,"voltage":{volts:.2},"current":{:.1},"sub_metering_1":{kitchen},"sub_metering_2":0,"sub_metering_3":17}}"#,
        minute.format("%Y-%m-%dT%H:%M:%SZ"),
        power * 1000.0 / volts,
    );
    LogRecord {
        offset: Offset::new(offset),
        key: None,
        payload: Some(payload.into()),
        headers: Vec::new(),
        timestamp: minute,
    }
}

fn tell(what: &str, started: Instant) {
    println!("{:.0} messages/s {what}, on one core", MESSAGES as f64 / started.elapsed().as_secs_f64());
}
