//! The simulated meter beside the real one.

use kilowatch_shared::stream::{Decoder, StreamRegistry};

use super::*;
use crate::simulate::household::{HouseholdMeasures, InjectedAnomaly, to_json, to_record};

fn measures(options: HouseholdOptions, from: &str, days: i64) -> Vec<HouseholdMeasures> {
    minutes(options, 7, from, days).filter_map(|reading| reading.measures).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

#[test]
fn the_same_seed_gives_the_same_readings_and_another_seed_others() {
    let run = |seed| minutes(HouseholdOptions::live(), seed, "2026-03-01T00:00:00Z", 2).collect::<Vec<_>>();
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn two_meters_of_one_seed_live_different_lives() {
    let run = |name: &str| {
        let device = DeviceId::parse(name).unwrap();
        HouseholdSimulator::new(device, 1, NORMAL_LIFE, &[]).next_reading(instant("2026-03-01T00:00:00Z")).measures
    };
    assert_ne!(run("meter-0001"), run("meter-0002"));
}

#[test]
fn power_voltage_and_current_fit_together_in_every_reading() {
    for m in measures(NORMAL_LIFE, "2026-01-10T00:00:00Z", 20) {
        let apparent_kva = m.active_power.hypot(m.reactive_power);
        assert!((m.current - apparent_kva * 1000.0 / m.voltage).abs() <= 0.1 + 1e-9, "{m:?}");
        let metered_wh = m.sub_metering_1 + m.sub_metering_2 + m.sub_metering_3;
        assert!(metered_wh <= m.active_power * 1000.0 / 60.0, "{m:?}");
        assert!((215.0..262.0).contains(&m.voltage), "{m:?}");
        assert!((0.02..12.0).contains(&m.active_power) && m.reactive_power >= 0.0, "{m:?}");
    }
}

#[test]
fn means_by_season_and_hour_are_near_those_of_the_real_household() {
    // 2007 to 2009: 1.472 kW in January, 0.568 kW in August; 240.63 V; evenings 1.9 kW, nights 0.41 kW.
    let january = measures(NORMAL_LIFE, "2025-12-31T23:00:00Z", 31);
    let august = measures(NORMAL_LIFE, "2026-07-31T22:00:00Z", 31);
    let power = |rows: &[HouseholdMeasures]| mean(rows.iter().map(|m| m.active_power));
    assert!((1.2..1.8).contains(&power(&january)), "{}", power(&january));
    assert!((0.4..0.75).contains(&power(&august)), "{}", power(&august));
    let volts = mean(january.iter().chain(&august).map(|m| m.voltage));
    assert!((239.0..243.0).contains(&volts), "{volts}");
    let at_hour = |hour: usize| {
        mean(january.iter().enumerate().filter(|(i, _)| i / 60 % 24 == hour).map(|(_, m)| m.active_power))
    };
    assert!(at_hour(20) > 2.0 * at_hour(3), "evening {} night {}", at_hour(20), at_hour(3));
}

#[test]
fn loads_come_in_episodes_and_not_as_white_noise() {
    let power: Vec<f64> = measures(NORMAL_LIFE, "2026-01-10T00:00:00Z", 30).iter().map(|m| m.active_power).collect();
    let mean = mean(power.iter().copied());
    let covariance = |lag: usize| power.iter().zip(&power[lag..]).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    // 0.964 after one minute and 0.52 after an hour in the real minutes.
    assert!(covariance(1) / covariance(0) > 0.9, "{}", covariance(1) / covariance(0));
    assert!(covariance(60) / covariance(0) > 0.2, "{}", covariance(60) / covariance(0));
}

#[test]
fn five_percent_of_live_readings_are_injected_in_episodes_of_every_kind() {
    let readings: Vec<_> = minutes(HouseholdOptions::live(), 3, "2026-03-01T00:00:00Z", 60).collect();
    let share = readings.iter().filter(|r| r.injected.is_some()).count() as f64 / readings.len() as f64;
    assert!((0.04..0.06).contains(&share), "{share}");
    for kind in InjectedAnomaly::ALL {
        assert!(readings.iter().any(|r| r.injected == Some(kind)), "{kind} never came");
    }
    let begins = readings.windows(2).filter(|pair| pair[0].injected.is_none() && pair[1].injected.is_some()).count();
    assert!(begins as f64 * 3.0 < share * readings.len() as f64, "{begins} episodes");
}

#[test]
fn without_anomalies_nothing_is_injected() {
    assert!(minutes(NORMAL_LIFE, 3, "2026-03-01T00:00:00Z", 3).all(|reading| reading.injected.is_none()));
}

#[test]
fn a_message_decodes_to_the_reading_and_hides_its_truth_in_a_header() {
    let registry = StreamRegistry::built_in().unwrap();
    let decoder = Decoder::new(registry.iter().find(|profile| profile.name.as_str() == "household").unwrap());
    for reading in minutes(HouseholdOptions::live(), 5, "2026-03-01T00:00:00Z", 1) {
        let record = to_record(&reading).unwrap();
        let payload = record.payload.unwrap();
        let decoded = decoder.decode(&payload).unwrap();
        let m = reading.measures.unwrap();
        let expected = [
            m.active_power,
            m.reactive_power,
            m.voltage,
            m.current,
            m.sub_metering_1,
            m.sub_metering_2,
            m.sub_metering_3,
        ];
        assert_eq!(decoded.measures.as_slice(), expected.map(Some));
        assert_eq!((decoded.device, decoded.event_time), (reading.device, reading.event_time));
        assert_eq!(record.key.unwrap(), "meter-0001");
        let kinds: Vec<&[u8]> = record.headers.iter().map(|(_, value)| value.as_ref()).collect();
        assert_eq!(kinds, reading.injected.iter().map(|kind| kind.as_str().as_bytes()).collect::<Vec<_>>());
        assert!(!payload.windows(8).any(|window| window == b"injected"));
    }
}

#[test]
fn the_payload_is_that_of_the_contract() {
    let reading = SimulatedReading {
        device: meter(),
        event_time: instant("2007-01-01T00:00:00Z"),
        measures: Some(HouseholdMeasures {
            active_power: 2.58,
            reactive_power: 0.136,
            voltage: 241.97,
            current: 10.6,
            sub_metering_1: 0.0,
            sub_metering_2: 0.0,
            sub_metering_3: 0.0,
        }),
        injected: None,
    };
    let expected = r#"{"device_id":"meter-0001","timestamp":"2007-01-01T00:00:00Z","active_power":2.58,"reactive_power":0.136,"voltage":241.97,"current":10.6,"sub_metering_1":0,"sub_metering_2":0,"sub_metering_3":0}"#;
    assert_eq!(String::from_utf8(to_json(&reading).unwrap()).unwrap(), expected);
}
