//! Training sets as files.

use super::*;
use crate::simulate::csv::write_csv;

fn file(stream: &str, rows: u64) -> String {
    let simulated = SimulatedStream::find(stream).unwrap();
    let options = SimulationOptions::new(&profile(stream), 1, Injection::of_share(0.2));
    let mut simulator = simulated.open(&options);
    let mut out = Vec::new();
    write_csv(&mut out, &profile(stream), simulator.as_mut(), start(), TimeDelta::seconds(30), rows).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_training_set_has_the_payloads_columns_and_the_truth_in_the_last_one() {
    let text = file("campus", 3_000);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("building,floor,timestamp,electricity_kwh,water_l,injected"));
    assert!(lines.next().unwrap().starts_with("Building A,1,2026-03-02T00:00:00+00:00,"), "{text:.200}");
    assert_eq!(text.lines().count(), 3_001);
    assert!(text.lines().any(|line| line.ends_with(",water_leak")), "nothing was injected");
    assert!(text.lines().any(|line| line.ends_with(',')), "everything was injected");
}

#[test]
fn what_a_plant_does_not_measure_is_an_empty_field() {
    let text = file("power-plant", 8);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "plant_id,timestamp,output_mw,wind_speed_m_s,irradiance_w_m2,water_flow_m3_s,gas_flow_m3_h,plant_type,injected"
    );
    assert!(lines[1].starts_with("gas-01,2026-03-02T00:00:00+00:00,") && lines[1].contains(",,,,"), "{}", lines[1]);
    assert!(lines[2].starts_with("wind-01,2026-03-02T00:00:03.750000+00:00,"), "{}", lines[2]);
}

#[test]
fn the_devices_of_a_round_share_its_interval() {
    let at = |message| instant_of(start(), TimeDelta::seconds(1), 4, message) - start();
    assert_eq!([0, 1, 3, 4].map(at), [0, 250, 750, 1000].map(TimeDelta::milliseconds));
}
