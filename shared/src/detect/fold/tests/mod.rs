//! Invariant I4: nothing but the messages and the pins moves a verdict.

mod episodes;
mod kernels;

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::{
    anomaly::OpinionState,
    detect::{
        isolation_forest::{ForestParams, IsolationForestModel, TrainingRows, train},
        three_sigma::Baseline,
    },
    model::ModelId,
    position::{Offset, SourceId},
    stream::{KernelConfig, StreamProfile, StreamRegistry},
};

/// The household with a window short enough to turn over many times in a test.
fn profile() -> StreamProfile {
    let registry = StreamRegistry::built_in().unwrap();
    let mut profile = registry.iter().find(|profile| profile.name.as_str() == "household").unwrap().clone();
    for detector in &mut profile.detectors {
        if let KernelConfig::ThreeSigma(config) = &mut detector.kernel {
            config.baseline = Baseline::Rolling { window_readings: 12 };
            config.min_sd.clear();
            detector.min_readings = 4;
            detector.cool_down_secs = 300;
        }
    }
    profile
}

fn partition() -> PartitionId {
    PartitionId { stream: profile().name, source: SourceId::parse("log:1:energy-stream").unwrap(), partition: 0 }
}

fn forest(profile: &StreamProfile, seed: u64) -> (ModelId, Bytes) {
    let features: Vec<String> = profile.measures.iter().map(|measure| measure.name.clone()).collect();
    let row = |i: u32| {
        let power = f64::from(i * 7919 % 1009) / 250.0;
        let missing = f64::NAN;
        [power, missing, 240.0 - power, missing, missing, missing, missing]
    };
    let values: Vec<f64> = (0..500).flat_map(row).collect();
    let params = ForestParams { trees: 10, sample_size: 64 };
    let model = train(TrainingRows { features: &features, values: &values }, params, 0.9, seed).unwrap();
    let bytes = Bytes::from(model.to_bytes().unwrap());
    (ModelId::of(&bytes), bytes)
}

/// Pins with a forest, and the forest.
fn pinned(profile: &StreamProfile, seed: u64) -> (Pins, ModelSet) {
    let (id, bytes) = forest(profile, seed);
    let pins = Pins::of_this_build(profile, BTreeMap::from([("isolation_forest".to_owned(), id.clone())]));
    (pins, ModelSet::from_iter([(id, bytes)]))
}

fn fresh(seed: u64) -> PartitionFold {
    let (pins, models) = pinned(&profile(), seed);
    PartitionFold::try_new(partition(), &pins, &models).unwrap()
}

fn record(offset: u64, payload: Option<String>) -> LogRecord {
    LogRecord {
        offset: Offset::new(offset),
        key: Some(Bytes::from_static(b"meter")),
        payload: payload.map(Bytes::from),
        headers: Vec::new(),
        timestamp: DateTime::from_timestamp(1_700_000_000 + offset.cast_signed(), 123_456_789).unwrap(),
    }
}

fn payload(device: u8, minute: u32, power: f64) -> String {
    let time = DateTime::from_timestamp(i64::from(minute) * 60, 0).unwrap().to_rfc3339();
    format!(r#"{{"device_id":"m-{device}","timestamp":"{time}","active_power":{power},"voltage":{}}}"#, 240.0 - power)
}

/// Messages of three devices: rising, late and repeated times, ordinary and wild values, and poison.
fn messages() -> impl Strategy<Value = Vec<LogRecord>> {
    let message = prop_oneof![
        20 => (0_u8..3, 0_u32..60, prop_oneof![6 => 0.0..4.0_f64, 1 => -90.0..90.0_f64])
            .prop_map(|(device, minute, power)| Some(payload(device, minute, power))),
        1 => Just(None),
        1 => Just(Some("{\"device_id\":3".to_owned())),
    ];
    prop::collection::vec(message, 0..200).prop_map(|payloads| {
        payloads.into_iter().enumerate().map(|(offset, payload)| record(offset as u64 * 3, payload)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cutting_a_stream_anywhere_gives_the_same_verdicts(
        messages in messages(),
        cuts in prop::collection::btree_set(0_usize..200, 0..8),
    ) {
        let (pins, models) = pinned(&profile(), 1);
        let (mut whole, mut parts) = (fresh(1), fresh(1));
        for (at, message) in messages.iter().enumerate() {
            if cuts.contains(&at) {
                let state = parts.save().unwrap();
                parts = PartitionFold::restore(partition(), &pins, &models, &state).unwrap();
                parts.open_segment(&pins, &models).unwrap();
            }
            prop_assert_eq!(whole.fold(message), parts.fold(message));
        }
        prop_assert_eq!(whole.save().unwrap(), parts.save().unwrap());
    }

    #[test]
    fn replaying_the_readings_of_the_lake_gives_the_same_verdicts_and_state(messages in messages()) {
        let (mut live, mut replayed) = (fresh(1), fresh(1));
        for message in &messages {
            if let Folded::Reading { reading, anomalies, ended } = live.fold(message) {
                prop_assert_eq!(replayed.replay(&reading.in_partition(&partition())), Findings { anomalies, ended });
            }
        }
        prop_assert_eq!(live.save().unwrap(), replayed.save().unwrap());
    }

    #[test]
    fn no_reading_is_judged_by_half_a_model(messages in messages(), cut in 0_usize..200) {
        let models = [1, 2].map(|seed| {
            let (id, bytes) = forest(&profile(), seed);
            (id, IsolationForestModel::from_bytes(&bytes).unwrap())
        });
        let mut fold = fresh(1);
        for (at, message) in messages.iter().enumerate() {
            if at == cut {
                let (pins, models) = pinned(&profile(), 2);
                fold.open_segment(&pins, &models).unwrap();
            }
            let (id, model) = &models[usize::from(at >= cut)];
            if let Folded::Reading { reading, anomalies, .. } = fold.fold(message) {
                for verdict in anomalies.into_iter().map(|anomaly| anomaly.verdict).filter(|v| v.model_id.is_some()) {
                    prop_assert_eq!(verdict.model_id.as_ref(), Some(id));
                    let (score, threshold) = (model.score(&reading.reading.measures), model.threshold());
                    prop_assert_eq!((verdict.score.to_bits(), verdict.threshold.to_bits()), (score.to_bits(), threshold.to_bits()));
                }
            }
        }
    }

    #[test]
    fn a_device_is_judged_as_if_it_were_alone(messages in messages()) {
        let (mut together, mut alone) = (fresh(1), fresh(1));
        for message in &messages {
            let folded = together.fold(message);
            let is_first = matches!(&folded, Folded::Reading { reading, .. } if reading.reading.device.as_str() == "m-0");
            if is_first {
                prop_assert_eq!(alone.fold(message), folded);
            }
        }
    }

    #[test]
    fn a_damaged_state_is_refused(at in 0_usize..10_000, flip in 1_u8..) {
        let mut fold = fresh(1);
        for minute in 0..30 {
            fold.fold(&record(u64::from(minute), Some(payload(1, minute, f64::from(minute)))));
        }
        let (pins, models) = pinned(&profile(), 1);
        let mut state = fold.save().unwrap().to_vec();
        let at = at % state.len();
        state[at] ^= flip;
        let refused = PartitionFold::restore(partition(), &pins, &models, &state).unwrap_err();
        prop_assert!(matches!(refused, FoldError::CorruptState(_)));
        prop_assert!(PartitionFold::restore(partition(), &pins, &models, &state[..at]).is_err());
    }
}

fn wild_readings(fold: &mut PartitionFold, from: u32) -> Vec<String> {
    let mut detectors = Vec::new();
    for minute in from..from + 40 {
        let power = if minute % 20 == 19 { 70.0 } else { 1.0 + f64::from(minute % 3) / 10.0 };
        if let Folded::Reading { anomalies, .. } =
            fold.fold(&record(u64::from(minute), Some(payload(1, minute, power))))
        {
            detectors.extend(anomalies.into_iter().map(|anomaly| anomaly.verdict.detector));
        }
    }
    detectors
}

#[test]
fn both_detectors_speak_in_the_order_of_the_profile() {
    let detectors = wild_readings(&mut fresh(1), 0);
    assert_eq!(detectors, ["three_sigma", "isolation_forest", "three_sigma", "isolation_forest"]);
}

#[test]
fn a_detector_without_a_model_stays_silent() {
    let pins = Pins::of_this_build(&profile(), BTreeMap::new());
    let mut fold = PartitionFold::try_new(partition(), &pins, &ModelSet::default()).unwrap();
    assert_eq!(wild_readings(&mut fold, 0), ["three_sigma", "three_sigma"]);
}

#[test]
fn a_new_model_or_another_order_leaves_the_memory_of_three_sigma_as_it_was() {
    let (mut kept, mut swapped) = (fresh(1), fresh(1));
    wild_readings(&mut kept, 0);
    wild_readings(&mut swapped, 0);
    let mut reordered = profile();
    reordered.detectors.reverse();
    let (pins, models) = pinned(&reordered, 2);
    swapped.open_segment(&pins, &models).unwrap();
    let spike = record(100, Some(payload(1, 100, 5.0)));
    let three_sigma = |folded: Folded| match folded {
        Folded::Reading { anomalies, .. } => {
            let found = anomalies.into_iter().find(|anomaly| anomaly.verdict.detector == "three_sigma");
            // The other forest has another opinion of the same reading.
            found.map(|mut anomaly| {
                anomaly.verdict.explanation.others.clear();
                anomaly
            })
        }
        Folded::DeadLetter(_) => None,
    };
    let (before, after) = (three_sigma(kept.fold(&spike)), three_sigma(swapped.fold(&spike)));
    assert!(before.is_some());
    assert_eq!(before, after);
}

#[test]
fn a_changed_configuration_starts_afresh_and_the_state_restores_into_it() {
    let mut fold = fresh(1);
    wild_readings(&mut fold, 0);
    let state = fold.save().unwrap();
    let mut changed = profile();
    if let KernelConfig::ThreeSigma(config) = &mut changed.detectors[0].kernel {
        config.sigmas = 4.0;
    }
    let (pins, models) = pinned(&changed, 1);
    fold.open_segment(&pins, &models).unwrap();
    let restored = PartitionFold::restore(partition(), &pins, &models, &state).unwrap();
    assert_eq!(fold.save().unwrap(), restored.save().unwrap());
    let spike = record(100, Some(payload(1, 100, 5.0)));
    let Folded::Reading { anomalies, .. } = fold.fold(&spike) else { panic!("poison") };
    assert!(anomalies.iter().all(|anomaly| anomaly.verdict.detector != "three_sigma"), "the window is empty");
}

#[test]
fn a_repeated_reading_is_flagged_and_not_judged() {
    let mut fold = fresh(1);
    wild_readings(&mut fold, 0);
    let before = fold.clone();
    let again = record(500, Some(payload(1, 19, 70.0)));
    let Folded::Reading { reading, anomalies, .. } = fold.fold(&again) else { panic!("poison") };
    assert!(reading.is_duplicate && anomalies.is_empty());
    let next = record(501, Some(payload(1, 90, 70.0)));
    assert_eq!(fold.fold(&next), before.clone().fold(&next), "a duplicate moves no detector");
}

#[test]
fn a_dead_letter_keeps_the_message_whole() {
    let mut fold = fresh(1);
    let message = record(9, Some("{\"device_id\":\"m\"}".to_owned()));
    let Folded::DeadLetter(letter) = fold.fold(&message) else { panic!("a reading") };
    assert_eq!((Some(letter.raw), letter.key), (message.payload, message.key));
    assert_eq!(letter.position.to_string(), "log:1:energy-stream/0@9");
    assert!(letter.reason.contains("`timestamp` is missing"), "{}", letter.reason);
    let Folded::DeadLetter(letter) = fold.fold(&record(10, None)) else { panic!("a reading") };
    assert!(letter.raw.is_empty() && letter.reason.contains("tombstone"));
}

#[test]
fn the_simulators_truth_comes_from_its_header_alone() {
    let mut message = record(1, Some(payload(1, 1, 1.0)));
    let truth = |message: &LogRecord| match fresh(1).fold(message) {
        Folded::Reading { reading, .. } => reading.reading.injected,
        Folded::DeadLetter(letter) => panic!("{}", letter.reason),
    };
    assert_eq!(truth(&message), None);
    message.headers = vec![(INJECTED_HEADER.to_owned(), Bytes::from_static(b"power_spike"))];
    assert_eq!(truth(&message).as_deref(), Some("power_spike"));
    message.headers = vec![(INJECTED_HEADER.to_owned(), Bytes::from(vec![b'x'; 65]))];
    assert_eq!(truth(&message), None);
}

#[test]
fn a_row_equals_itself_after_the_lake_kept_microseconds() {
    let Folded::Reading { reading, .. } = fresh(1).fold(&record(1, Some(payload(1, 1, 1.0)))) else { panic!("poison") };
    assert_eq!(reading.ingested_at.timestamp_subsec_nanos(), 123_456_000);
}

#[test]
fn pins_that_this_build_cannot_run_are_refused_and_change_nothing() {
    let (pins, models) = pinned(&profile(), 1);
    let mut fold = fresh(1);
    wild_readings(&mut fold, 0);
    let before = fold.save().unwrap();
    let decoder = Pins { decoder_version: 99, ..pins.clone() };
    let kernels = Pins { kernels_version: 99, ..pins.clone() };
    for (pins, what) in [(decoder, "decoder"), (kernels, "kernels")] {
        let refused = fold.open_segment(&pins, &models).unwrap_err();
        assert!(matches!(refused, FoldError::UnsupportedPins { what: found, pinned: 99, .. } if found == what));
    }
    let missing = pinned(&profile(), 2).0;
    assert!(matches!(fold.open_segment(&missing, &models), Err(FoldError::MissingModel { .. })));
    let garbage = ModelSet::from_iter([(pins.models["isolation_forest"].clone(), Bytes::from_static(b"no"))]);
    assert!(matches!(PartitionFold::try_new(partition(), &pins, &garbage), Err(FoldError::UnfitModel { .. })));
    assert_eq!((fold.save().unwrap(), fold.pins()), (before, &pins));
}

#[test]
fn a_log_timestamp_that_no_clock_shows_becomes_the_nearest_that_lake_and_views_can_keep() {
    let mut fold = fresh(1);
    for (stamped, kept) in
        [(DateTime::<Utc>::MAX_UTC, "2199-12-31T23:59:59.999999Z"), (DateTime::<Utc>::MIN_UTC, "1970-01-01T00:00:00Z")]
    {
        let kept: DateTime<Utc> = kept.parse().unwrap();
        let mut message = record(0, Some(payload(1, 1, 1.0)));
        message.timestamp = stamped;
        let Folded::Reading { reading, .. } = fold.fold(&message) else { panic!("no reading") };
        assert_eq!(reading.ingested_at, kept);
        message.payload = None;
        let Folded::DeadLetter(letter) = fold.fold(&message) else { panic!("no dead letter") };
        assert_eq!(letter.seen_at, kept);
    }
}

#[test]
fn a_dead_letter_does_not_keep_the_memory_of_the_messages_around_it() {
    let chunk = Bytes::from(vec![b'x'; 1 << 20]);
    let message = LogRecord { key: Some(chunk.slice(0..3)), payload: Some(chunk.slice(7..20)), ..record(0, None) };
    let Folded::DeadLetter(letter) = fresh(1).fold(&message) else { panic!("no dead letter") };
    assert_eq!((letter.key.as_deref(), letter.raw.as_ref()), (Some(&chunk[0..3]), &chunk[7..20]));
    let inside = chunk.as_ptr_range();
    assert!(!inside.contains(&letter.raw.as_ptr()) && !letter.key.iter().any(|key| inside.contains(&key.as_ptr())));
}

#[test]
fn an_explanation_tells_what_the_other_detectors_said() {
    let pins = pinned(&profile(), 1);
    let opinions_of = |pins: &Pins, models: &ModelSet, minute: u32, power: f64| {
        let mut fold = PartitionFold::try_new(partition(), pins, models).unwrap();
        wild_readings(&mut fold, 0);
        let Folded::Reading { anomalies, .. } = fold.fold(&record(100, Some(payload(1, minute, power)))) else {
            panic!("poison")
        };
        let others = |anomaly: Anomaly| (anomaly.verdict.detector, anomaly.verdict.explanation.others);
        anomalies.into_iter().map(others).collect::<BTreeMap<_, _>>()
    };
    let both = opinions_of(&pins.0, &pins.1, 100, 70.0);
    let forest = &both["three_sigma"][0];
    assert_eq!((forest.detector.as_str(), forest.state), ("isolation_forest", OpinionState::Alarm));
    assert!(forest.score > forest.threshold);
    assert_eq!(both["isolation_forest"][0].detector, "three_sigma");
    let untrained = Pins::of_this_build(&profile(), BTreeMap::new());
    let alone = opinions_of(&untrained, &ModelSet::default(), 100, 70.0);
    assert_eq!(alone["three_sigma"][0].state, OpinionState::Untrained);
    assert_eq!((alone.len(), alone["three_sigma"][0].score), (1, None));
}

#[test]
fn a_detector_learns_in_its_warm_up_and_does_not_speak() {
    let mut profile = profile();
    profile.detectors[1].min_readings = 20;
    let (pins, models) = pinned(&profile, 1);
    let mut fold = PartitionFold::try_new(partition(), &pins, &models).unwrap();
    // The first wild reading is the twentieth.
    assert_eq!(wild_readings(&mut fold, 0), ["three_sigma", "three_sigma", "isolation_forest"]);
}
