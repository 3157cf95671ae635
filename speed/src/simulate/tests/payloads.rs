//! Messages as they go out.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const SOME: Injection = Injection::of_share(0.2);
const MINUTE: TimeDelta = TimeDelta::minutes(1);

fn texts(stream: &str, seed: u64) -> Vec<String> {
    let payload =
        |(_, record): (DateTime<Utc>, NewRecord)| String::from_utf8(record.payload.unwrap().to_vec()).unwrap();
    records(stream, seed, SOME, MINUTE, 30).into_iter().map(payload).collect()
}

#[test]
fn the_same_seed_gives_the_same_messages_and_another_seed_others() {
    for stream in STREAMS {
        assert_eq!(texts(stream, 1), texts(stream, 1), "{stream}");
        assert_ne!(texts(stream, 1), texts(stream, 2), "{stream}");
    }
}

#[test]
fn every_message_decodes_to_its_device_and_instant_and_hides_its_truth() {
    for stream in STREAMS {
        let decoder = Decoder::new(&profile(stream));
        let sent = records(stream, 1, SOME, MINUTE, 30);
        let devices = SimulatedStream::find(stream).unwrap().devices;
        let mut keys = BTreeSet::new();
        for (at, record) in sent {
            let payload = record.payload.as_deref().unwrap();
            let reading = decoder.decode(payload).unwrap();
            let key = String::from_utf8(record.key.as_deref().unwrap().to_vec()).unwrap();
            assert_eq!(reading.device.as_str(), key, "{stream}");
            let late = at - reading.event_time;
            assert!((TimeDelta::zero()..TimeDelta::milliseconds(1)).contains(&late), "{stream}: {late}");
            assert!(reading.measures.iter().any(Option::is_some), "{stream}");
            if let Some(kind) = truth(&record) {
                assert!(!String::from_utf8_lossy(payload).contains(kind), "{stream} tells what was injected");
            }
            keys.insert(key);
        }
        assert_eq!(keys.len(), devices as usize, "{stream}");
    }
}

#[test]
fn the_first_message_of_each_stream_is_that_of_its_contract() {
    let fields = |stream: &str| -> Vec<String> {
        let text = texts(stream, 1).remove(0);
        // Not a map: the order of the fields is a part of what users know.
        text.trim_matches(['{', '}'])
            .split(",\"")
            .map(|field| field.split('"').find(|t| !t.is_empty()).unwrap().to_owned())
            .collect()
    };
    assert_eq!(fields("power-plant"), ["plant_id", "plant_type", "timestamp", "output_mw", "gas_flow_m3_h"]);
    assert_eq!(fields("campus"), ["building", "floor", "electricity_kwh", "water_l", "timestamp"]);
    assert_eq!(fields("sensor"), ["sensor_id", "temperature", "pressure", "timestamp"]);
    assert_eq!(fields("grid"), ["meterId", "timestamp", "voltage", "current", "temperature", "status"]);
    assert!(texts("grid", 1)[0].starts_with(r#"{"meterId":"meter-0000","timestamp":1772409600000,"voltage":2"#));
    assert!(texts("sensor", 1)[1].starts_with(r#"{"sensor_id":2,"temperature":"#));
    assert!(texts("campus", 1)[3].starts_with(r#"{"building":"Building A","floor":4,"electricity_kwh":"#));
}

#[test]
fn every_kind_is_injected_in_about_its_share_of_the_readings() {
    for stream in STREAMS {
        let simulated = SimulatedStream::find(stream).unwrap();
        let devices = u64::from(simulated.devices);
        let sent = records(stream, 5, Injection::of_share(0.05), MINUTE, 60_000 / devices);
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for kind in sent.iter().filter_map(|(_, record)| truth(record)) {
            *kinds.entry(kind).or_default() += 1;
        }
        let share = kinds.values().sum::<usize>() as f64 / sent.len() as f64;
        assert!((0.04..0.06).contains(&share), "{stream}: {share}");
        for kind in simulated.effects {
            assert!(kinds.contains_key(kind), "{stream}: no {kind} in {kinds:?}");
        }
    }
}

#[test]
fn a_built_in_profile_asks_its_simulator_for_all_that_it_can_do_and_for_nothing_else() {
    for stream in STREAMS {
        let (simulated, profile) = (SimulatedStream::find(stream).unwrap(), profile(stream));
        assert_eq!(simulated.problems(&profile), Vec::<String>::new());
        let asked: Vec<String> = profile.injection.unwrap().kinds.into_iter().map(|kind| kind.name).collect();
        assert_eq!(asked, simulated.effects, "{stream}");
    }
    let mut grid = profile("grid");
    grid.injection.as_mut().unwrap().kinds[1].name = "meteor".to_owned();
    let problems = SimulatedStream::find("grid").unwrap().problems(&grid);
    assert!(problems[0].contains("knows no `meteor`; it knows over_voltage, voltage_spike"), "{problems:?}");
}

#[test]
fn two_devices_of_a_stream_live_different_lives() {
    for stream in ["power-plant", "campus", "sensor", "grid"] {
        let devices = SimulatedStream::find(stream).unwrap().devices as usize;
        // The second round is at noon, when there is sun.
        let noon = readings(stream, 1, Injection::NONE, TimeDelta::hours(12), 2).split_off(devices);
        let values: BTreeSet<String> = noon.iter().map(|reading| format!("{:?}", reading.measures)).collect();
        assert_eq!(values.len(), devices, "{stream}");
    }
}
