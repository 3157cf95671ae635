//! Golden payloads of the built-in profiles: what the producers of each system send, with every odd form.

use chrono::{DateTime, Utc};

use super::*;
use crate::{reading::Reading, stream::StreamRegistry};

fn decoder(stream: &str) -> Decoder {
    Decoder::new(StreamRegistry::built_in().unwrap().find(&stream.parse().unwrap()).unwrap())
}

fn decode(stream: &str, payload: &str) -> Reading {
    decoder(stream).decode(payload.as_bytes()).unwrap_or_else(|error| panic!("{payload}: {error}"))
}

fn refusal(stream: &str, payload: &str) -> String {
    decoder(stream).decode(payload.as_bytes()).expect_err(payload).to_string()
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn tags(reading: &Reading) -> Vec<Option<&str>> {
    reading.tags.iter().map(Option::as_deref).collect()
}

#[test]
fn each_kind_of_power_plant_sends_its_own_quantities_and_the_others_are_missing() {
    let kinds = [
        ("wind", r#""wind_speed_m_s":9.4"#, [Some(42.5), Some(9.4), None, None, None]),
        ("solar", r#""irradiance_w_m2":812"#, [Some(42.5), None, Some(812.0), None, None]),
        ("hydro", r#""water_flow_m3_s":120.25"#, [Some(42.5), None, None, Some(120.25), None]),
        ("gas", r#""gas_flow_m3_h":9100.0"#, [Some(42.5), None, None, None, Some(9100.0)]),
    ];
    for (kind, driver, expected) in kinds {
        let payload = format!(
            r#"{{"plant_id":"{kind}-01","plant_type":"{kind}","timestamp":"2024-05-01T12:00:00Z","output_mw":42.5,{driver}}}"#
        );
        let reading = decode("power-plant", &payload);
        assert_eq!(reading.device.as_str(), format!("{kind}-01"));
        assert_eq!(reading.measures.as_slice(), expected, "{payload}");
        assert_eq!(tags(&reading), [Some(kind)]);
    }
}

#[test]
fn a_power_plant_may_send_nulls_and_the_names_that_its_first_producers_used() {
    let reading = decode(
        "power-plant",
        r#"{"timestamp":"2024-05-01T12:00:00.123456+00:00","plant_type":"Wind Farm","region":"North","plant_id":7,
            "power_output":101.5,"demand":210.1,"wind_speed":12.5,"turbine_efficiency":88,"irradiance_w_m2":null}"#,
    );
    assert_eq!((reading.device.as_str(), tags(&reading)), ("7", vec![Some("Wind Farm")]));
    assert_eq!(reading.event_time, instant("2024-05-01T12:00:00.123456Z"));
    assert_eq!(reading.measures.as_slice(), [Some(101.5), Some(12.5), None, None, None]);
}

#[test]
fn a_campus_reading_is_named_by_building_and_floor() {
    let reading = decode(
        "campus",
        r#"{"building":"Building A","floor":4,"electricity_kwh":171.4,"water_l":328.1,"timestamp":"2024-05-01T12:00:00"}"#,
    );
    assert_eq!(reading.device.as_str(), "Building A/4");
    assert_eq!(tags(&reading), [Some("Building A"), Some("4")]);
    assert_eq!(reading.event_time, instant("2024-05-01T12:00:00Z"));
    assert_eq!(reading.measures.as_slice(), [Some(171.4), Some(328.1)]);
}

#[test]
fn a_campus_reading_may_name_its_floor_by_a_text_and_leave_units_and_values_out() {
    let reading = decode(
        "campus",
        r#"{"building":"Building B","floor":"2","electricity":90,"status":"Normal","timestamp":1714564800.5}"#,
    );
    assert_eq!(reading.device.as_str(), "Building B/2");
    assert_eq!(reading.measures.as_slice(), [Some(90.0), None]);
    assert_eq!(reading.event_time, instant("2024-05-01T12:00:00.500Z"));
}

#[test]
fn a_sensor_has_a_number_for_a_name_and_utc_without_a_zone() {
    for (written, expected) in [
        (r#""2024-05-01T12:00:00.250000""#, "2024-05-01T12:00:00.250Z"),
        (r#""2024-05-01T12:00:00""#, "2024-05-01T12:00:00Z"),
        (r#""2024-05-01 12:00:00""#, "2024-05-01T12:00:00Z"),
        (r#""2024-05-01T12:00:00Z""#, "2024-05-01T12:00:00Z"),
        (r#""2024-05-01T14:00:00.5+02:00""#, "2024-05-01T12:00:00.500Z"),
        ("1714564800", "2024-05-01T12:00:00Z"),
        ("1714564800.25", "2024-05-01T12:00:00.250Z"),
        ("1714564800250", "2024-05-01T12:00:00.250Z"),
        ("1714564800250.0", "2024-05-01T12:00:00.250Z"),
    ] {
        let payload = format!(r#"{{"sensor_id":2,"temperature":45.6,"pressure":101.3,"timestamp":{written}}}"#);
        let reading = decode("sensor", &payload);
        assert_eq!((reading.device.as_str(), reading.event_time), ("2", instant(expected)), "{payload}");
        assert_eq!(reading.measures.as_slice(), [Some(45.6), Some(101.3)]);
    }
}

#[test]
fn a_grid_meter_sends_epoch_milliseconds_and_a_status_or_none() {
    let good = r#"{"meterId":"meter-0001","timestamp":1706729400000,"voltage":245.5,"current":15.2,"temperature":25.0,"status":"normal"}"#;
    let reading = decode("grid", good);
    assert_eq!(reading.device.as_str(), "meter-0001");
    assert_eq!(reading.event_time, instant("2024-01-31T19:30:00Z"));
    assert_eq!(reading.measures.as_slice(), [Some(245.5), Some(15.2), Some(25.0)]);
    assert_eq!(tags(&reading), [Some("normal")]);
    let silent = decode("grid", &good.replace(r#""normal""#, "null").replace("meterId", "meter_id"));
    assert_eq!((&silent.device, tags(&silent)), (&reading.device, vec![None]));
}

#[test]
fn a_zoneless_time_is_local_to_its_stream() {
    let registry = StreamRegistry::built_in().unwrap();
    let utc = registry.find(&"sensor".parse().unwrap()).unwrap().clone();
    let rome = Decoder::new(&StreamProfile { utc_offset_minutes: 120, ..utc });
    let at = |written: &str| {
        let payload = format!(r#"{{"sensor_id":2,"timestamp":"{written}"}}"#);
        rome.decode(payload.as_bytes()).unwrap().event_time
    };
    assert_eq!(at("2024-05-01T14:00:00"), instant("2024-05-01T12:00:00Z"));
    assert_eq!(at("2024-05-01T14:00:00Z"), instant("2024-05-01T14:00:00Z"));
}

#[test]
fn what_no_reading_of_a_system_can_be_says_why() {
    let cases = [
        ("campus", r#"{"building":"A","timestamp":1714564800}"#, "field `floor` is missing"),
        ("campus", r#"{"floor":1,"timestamp":1714564800}"#, "field `building` is missing"),
        ("campus", r#"{"building":"A","floor":null,"timestamp":1714564800}"#, "field `floor`: it is null"),
        ("campus", r#"{"building":"","floor":1,"timestamp":1714564800}"#, "field `building`: it is empty"),
        ("campus", r#"{"building":"A","floor":1.5,"timestamp":1714564800}"#, "field `floor`: 1.5 is not a whole"),
        ("campus", r#"{"building":"A","floor":1,"timestamp":"noon"}"#, "field `timestamp`: `noon` is no ISO 8601"),
        ("campus", r#"{"building":"A","floor":1,"timestamp":-5}"#, "before 1970 or after 2199"),
        ("campus", r#"{"building":"A","floor":1,"timestamp":"9999-01-01T00:00:00"}"#, "before 1970 or after 2199"),
        ("campus", r#"{"building":"A","floor":1}"#, "field `timestamp` is missing"),
        ("campus", r#"{"building":"A","floor":1,"water":1,"water_l":2}"#, "named twice"),
        ("grid", r#"{"meterId":"m","timestamp":"2024-01-31T19:30:00Z"}"#, "the profile expects a number"),
        ("grid", r#"{"meterId":"m","timestamp":1706729400000,"voltage":"245"}"#, "field `voltage`: it is a text"),
        ("sensor", r#"{"sensor_id":true,"timestamp":1714564800}"#, "field `sensor_id`: it is true or false"),
        ("power-plant", r#"{"plant_type":"gas","timestamp":1714564800}"#, "field `plant_id` is missing"),
    ];
    for (stream, payload, expected) in cases {
        let message = refusal(stream, payload);
        assert!(message.contains(expected), "{stream}: {payload}\n  {message}\n  lacks {expected}");
    }
}
