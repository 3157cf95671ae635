//! Readings and poison of every kind.

use chrono::{DateTime, Utc};

use super::*;
use crate::stream::StreamRegistry;

const GOOD: &str = r#"{"device_id":"meter-0001","timestamp":"2007-01-01T00:00:00Z","active_power":2.58,
    "reactive_power":0.136,"voltage":241.97,"current":10.6,"sub_metering_1":0,"sub_metering_2":1,"sub_metering_3":17}"#;

fn household() -> StreamProfile {
    let registry = StreamRegistry::built_in().unwrap();
    registry.iter().find(|profile| profile.name.as_str() == "household").unwrap().clone()
}

fn with_tags_and_time(format: TimeFormat) -> Decoder {
    let profile =
        StreamProfile { tags: vec!["floor".to_owned(), "status".to_owned()], time_format: format, ..household() };
    Decoder::new(&profile)
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn the_payload_of_the_contract_is_a_reading() {
    let reading = Decoder::new(&household()).decode(GOOD.as_bytes()).unwrap();
    assert_eq!(reading.device.as_str(), "meter-0001");
    assert_eq!(reading.event_time, instant("2007-01-01T00:00:00Z"));
    let values = [2.58, 0.136, 241.97, 10.6, 0.0, 1.0, 17.0].map(Some);
    assert_eq!(reading.measures.as_slice(), values);
    assert_eq!((reading.tags.len(), reading.injected), (0, None));
}

#[test]
fn missing_is_not_zero_and_unknown_fields_do_not_matter() {
    let text =
        r#"{"fw":{"v":[1,{}]},"voltage":null,"current":0,"timestamp":"2007-01-01T01:00:00+01:00","device_id":7}"#;
    let reading = Decoder::new(&household()).decode(text.as_bytes()).unwrap();
    assert_eq!(reading.device.as_str(), "7");
    assert_eq!(reading.event_time, instant("2007-01-01T00:00:00Z"));
    assert_eq!(reading.measures.as_slice(), [None, None, None, Some(0.0), None, None, None]);
}

#[test]
fn a_reading_without_any_measure_is_a_reading() {
    let text = r#"{"device_id":"m","timestamp":"2007-01-01T00:00:00Z"}"#;
    let reading = Decoder::new(&household()).decode(text.as_bytes()).unwrap();
    assert!(reading.measures.iter().all(Option::is_none));
}

#[test]
fn names_with_escapes_are_the_same_names() {
    let text = r#"{"device\u005fid":"caf\u00e9","timestamp":"2007-01-01T00:00:00Z"}"#;
    assert_eq!(Decoder::new(&household()).decode(text.as_bytes()).unwrap().device.as_str(), "café");
}

#[test]
fn times_are_read_in_the_format_of_the_profile() {
    let cases = [
        (TimeFormat::EpochMillis, "1706729400000", "2024-01-31T19:30:00Z"),
        (TimeFormat::EpochMillis, "1706729400000.0", "2024-01-31T19:30:00Z"),
        (TimeFormat::EpochSeconds, "1706729400", "2024-01-31T19:30:00Z"),
        (TimeFormat::EpochSeconds, "1706729400.25", "2024-01-31T19:30:00.250Z"),
        (TimeFormat::Rfc3339, "\"2024-01-31T19:30:00.123456789Z\"", "2024-01-31T19:30:00.123456Z"),
        (TimeFormat::Rfc3339, "\"2016-12-31T23:59:60Z\"", "2017-01-01T00:00:00Z"),
        (TimeFormat::Rfc3339, "\"2024-02-29T00:00:00-05:30\"", "2024-02-29T05:30:00Z"),
    ];
    for (format, written, expected) in cases {
        let text = format!(r#"{{"device_id":"m","timestamp":{written}}}"#);
        let reading = with_tags_and_time(format).decode(text.as_bytes()).unwrap();
        assert_eq!(reading.event_time, instant(expected), "{written}");
    }
}

#[test]
fn tags_are_texts_numbers_or_truth_values() {
    let text = r#"{"device_id":"m","timestamp":"2007-01-01T00:00:00Z","floor":4,"status":true}"#;
    let reading = with_tags_and_time(TimeFormat::Rfc3339).decode(text.as_bytes()).unwrap();
    assert_eq!(reading.tags.as_slice(), [Some("4".into()), Some("true".into())]);
}

/// The good payload with one text replaced.
fn broken(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replace(from, to)
}

#[test]
fn poison_of_every_kind_names_the_field_and_the_fix() {
    let voltage = |value: &str| broken("241.97", value);
    let time = |value: &str| broken("\"2007-01-01T00:00:00Z\"", value);
    let cases = [
        (String::new(), "payload is empty"),
        ("{".to_owned(), "not JSON"),
        (GOOD[..60].to_owned(), "not JSON"),
        (format!("{GOOD}x"), "not JSON"),
        (format!("{GOOD}{GOOD}"), "not JSON"),
        ("[]".to_owned(), "not a JSON object"),
        ("17".to_owned(), "not a JSON object"),
        ("null".to_owned(), "not a JSON object"),
        ("\"text\"".to_owned(), "not a JSON object"),
        ("{}".to_owned(), "field `device_id` is missing"),
        (broken("device_id", "deviceid"), "field `device_id` is missing"),
        (broken("timestamp", "time"), "field `timestamp` is missing"),
        (broken("\"meter-0001\"", "\"\""), "field `device_id`"),
        (broken("\"meter-0001\"", "null"), "field `device_id`: it is null"),
        (broken("\"meter-0001\"", "2.5"), "field `device_id`: 2.5 is not a whole number"),
        (broken("\"meter-0001\"", "[1]"), "field `device_id`: it is a list"),
        (broken("meter-0001", "a\\u0000b"), "field `device_id`"),
        (broken("meter-0001", &"x".repeat(201)), "field `device_id`"),
        (voltage("NaN"), "field `voltage`"),
        (voltage("Infinity"), "field `voltage`"),
        (voltage("-Infinity"), "field `voltage`"),
        (voltage("1e999"), "field `voltage`"),
        (voltage("\"241.97\""), "field `voltage`: it is a text"),
        (voltage("true"), "field `voltage`: it is true or false"),
        (voltage("{\"value\":241.97}"), "field `voltage`: it is an object"),
        (voltage("241,97"), "not JSON"),
        (broken("\"current\"", "\"voltage\""), "field `voltage` is named twice"),
        (broken("\"current\":10.6", "\"device_id\":\"m\""), "field `device_id` is named twice"),
        (time("\"yesterday\""), "field `timestamp`: `yesterday` is no RFC 3339 time"),
        (time("\"2007-02-30T00:00:00Z\""), "field `timestamp`"),
        (time("\"2007-01-01T24:00:00Z\""), "field `timestamp`"),
        (time("\"2007-01-01T00:00:00\""), "field `timestamp`"),
        (time("\"0001-01-01T00:00:00Z\""), "before 1970 or after 2199"),
        (time("\"1969-12-31T23:59:59Z\""), "before 1970 or after 2199"),
        (time("\"2200-01-01T00:00:00Z\""), "before 1970 or after 2199"),
        (time("\"9999-12-31T23:59:59Z\""), "before 1970 or after 2199"),
        (time("1167609600"), "field `timestamp`: it is a number"),
        (time("null"), "field `timestamp`: it is null"),
    ];
    let decoder = Decoder::new(&household());
    for (payload, expected) in cases {
        let message = decoder.decode(payload.as_bytes()).expect_err(&payload).to_string();
        assert!(message.contains(expected), "{payload}\n  {message}\n  lacks {expected}");
    }
}

#[test]
fn epoch_times_out_of_range_are_poison() {
    for (format, written) in [
        (TimeFormat::EpochMillis, "-1"),
        (TimeFormat::EpochMillis, "1e300"),
        (TimeFormat::EpochMillis, "18446744073709551615"),
        (TimeFormat::EpochMillis, "9223372036854775807"),
        (TimeFormat::EpochMillis, "1706729400000.5"),
        (TimeFormat::EpochMillis, "\"1706729400000\""),
        (TimeFormat::EpochSeconds, "-0.000001"),
        (TimeFormat::EpochSeconds, "1706729400000"),
        (TimeFormat::EpochSeconds, "1e300"),
    ] {
        let text = format!(r#"{{"device_id":"m","timestamp":{written}}}"#);
        let message = with_tags_and_time(format).decode(text.as_bytes()).expect_err(written).to_string();
        assert!(message.contains("field `timestamp`"), "{message}");
    }
}

#[test]
fn bytes_that_are_no_text_and_payloads_beyond_a_mebibyte_are_poison() {
    let decoder = Decoder::new(&household());
    let mut bytes = GOOD.as_bytes().to_vec();
    bytes[15] = 0xff;
    assert_eq!(decoder.decode(&bytes), Err(DecodeError::NotUtf8 { byte: 15 }));
    let mut padded = GOOD.as_bytes().to_vec();
    padded.resize(MAX_PAYLOAD_BYTES, b' ');
    assert!(decoder.decode(&padded).is_ok());
    padded.push(b' ');
    assert_eq!(decoder.decode(&padded), Err(DecodeError::TooLarge { size_bytes: MAX_PAYLOAD_BYTES + 1 }));
}

#[test]
fn a_deep_unknown_value_does_not_exhaust_the_stack() {
    let depth = 200_000;
    let text = format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(Decoder::new(&household()).decode(text.as_bytes()).is_err());
}
