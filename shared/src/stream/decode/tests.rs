//! Readings and poison of every kind.

use chrono::{DateTime, Datelike, Utc};
use proptest::prelude::*;

use super::*;
use crate::{
    reading::MAX_MAGNITUDE,
    rollup::Partial,
    stream::{StreamRegistry, TimeFormat},
};

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
        ("-17".to_owned(), "not a JSON object (a number)"),
        (" null".to_owned(), "not a JSON object (null)"),
        ("false".to_owned(), "not a JSON object (true or false)"),
        ("\"text\"".to_owned(), "not a JSON object (a text)"),
        ("{}".to_owned(), "field `device_id` is missing"),
        (broken("device_id", "deviceid"), "field `device_id` is missing"),
        (broken("timestamp", "time"), "field `timestamp` is missing"),
        (broken("\"meter-0001\"", "\"\""), "field `device_id`"),
        (broken("\"meter-0001\"", "null"), "field `device_id`: it is null"),
        (broken("\"meter-0001\"", "2.5"), "field `device_id`: 2.5 is not a whole number"),
        (broken("\"meter-0001\"", "[1]"), "field `device_id`: it is a list"),
        (broken("meter-0001", "a\\u0000b"), "field `device_id`: device id `a\\u{0}b`"),
        (broken("meter-0001", &"\u{1f600}".repeat(201)), "field `device_id`"),
        (broken("meter-0001", &"x".repeat(201)), "field `device_id`"),
        (voltage("NaN"), "field `voltage`"),
        (voltage("Infinity"), "field `voltage`"),
        (voltage("-Infinity"), "field `voltage`"),
        (voltage("1e400"), "field `voltage`"),
        (voltage("1e300"), "field `voltage`: 1e300 is beyond 1e18"),
        (voltage("-1.1e18"), "field `voltage`: -1.1e18 is beyond 1e18"),
        (voltage("9223372036854775807"), "field `voltage`: 9.223372036854776e18 is beyond 1e18"),
        (voltage("18446744073709551616"), "field `voltage`: 1.8446744073709552e19 is beyond 1e18"),
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

#[test]
fn a_negative_zero_is_a_zero() {
    let text = r#"{"device_id":-0.0,"timestamp":"2007-01-01T00:00:00Z","voltage":-0.0,"current":-0,"floor":-0}"#;
    let reading = with_tags_and_time(TimeFormat::Rfc3339).decode(text.as_bytes()).unwrap();
    let bits: Vec<u64> = reading.measures.iter().flatten().map(|value| value.to_bits()).collect();
    assert_eq!(bits, [0.0_f64.to_bits(); 2]);
    assert_eq!((reading.device.as_str(), reading.tags[0].as_deref()), ("0", Some("0")));
}

#[test]
fn an_unknown_field_may_be_repeated_and_hold_whatever_it_wants() {
    let text = format!(
        r#"{{"x":1e300,"x":"{}","device_id":"m","x":-1e18,"timestamp":"2007-01-01T00:00:00Z","current":1e18}}"#,
        "y".repeat(100_000)
    );
    let reading = Decoder::new(&household()).decode(text.as_bytes()).unwrap();
    assert_eq!(reading.measures[3], Some(1e18));
}

#[test]
fn a_tag_has_at_most_200_characters_and_no_control_characters() {
    let decoder = with_tags_and_time(TimeFormat::Rfc3339);
    let with_floor = |floor: &str| {
        decoder.decode(format!(r#"{{"device_id":"m","timestamp":"2007-01-01T00:00:00Z","floor":{floor}}}"#).as_bytes())
    };
    assert!(with_floor(&format!("\"{}\"", "\u{e9}".repeat(200))).is_ok());
    for bad in [format!("\"{}\"", "x".repeat(201)), r#""a\u0000b""#.to_owned(), "1e300".to_owned(), "[]".to_owned()] {
        let message = with_floor(&bad).unwrap_err().to_string();
        assert!(message.starts_with("field `floor`: "), "{message}");
    }
}

/// Longest reason: an excerpt, escaped, between words.
const MOST_REASON_BYTES: usize = 1000;

/// The good payload with bytes of its own put into it, or a wild value in the place of a field's.
fn wild_payload() -> impl Strategy<Value = Vec<u8>> {
    let fields = ["device_id", "timestamp", "active_power", "floor", "unknown"];
    let value = prop_oneof![
        any::<f64>().prop_map(|number| format!("{number:e}")),
        any::<i64>().prop_map(|number| number.to_string()),
        "-?[0-9]{1,30}(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?",
        "\\PC{0,300}".prop_map(|text| serde_json::Value::from(text).to_string()),
        "[\\x00-\\x7f]{0,20}".prop_map(|text| serde_json::Value::from(text).to_string()),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?(Z|[+-][0-9]{2}:[0-9]{2})"
            .prop_map(|text| format!("\"{text}\"")),
        prop::sample::select(vec!["null", "true", "NaN", "-Infinity", "[]", "{\"a\":[1,{}]}", "-0.0", "1e400"])
            .prop_map(str::to_owned),
    ];
    let wild_values = prop::collection::vec((prop::sample::select(fields.to_vec()), value), 0..6).prop_map(|pairs| {
        let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", pairs.join(",")).into_bytes()
    });
    let splice = (0..GOOD.len(), 0..GOOD.len(), prop::collection::vec(any::<u8>(), 0..12)).prop_map(|(a, b, bytes)| {
        let mut payload = GOOD.as_bytes().to_vec();
        payload.splice(a.min(b)..a.max(b), bytes);
        payload
    });
    let spliced_once = (0..GOOD.len(), prop::collection::vec(any::<u8>(), 0..4)).prop_map(|(at, bytes)| {
        let mut payload = GOOD.as_bytes().to_vec();
        payload.splice(at..=at, bytes);
        payload
    });
    prop_oneof![4 => wild_values, 1 => splice, 2 => spliced_once]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn whatever_the_bytes_are_they_are_a_bounded_reading_or_a_bounded_reason(payload in wild_payload()) {
        match with_tags_and_time(TimeFormat::Rfc3339).decode(&payload) {
            Ok(reading) => {
                let mut sums = Partial::EMPTY;
                for value in reading.measures.iter().flatten() {
                    prop_assert!(value.abs() <= MAX_MAGNITUDE && !(*value == 0.0 && value.is_sign_negative()), "{value}");
                    sums.merge(&Partial::of(*value));
                }
                prop_assert!(sums.sum_squares.is_finite());
                let texts = reading.tags.iter().flatten().map(|tag| &**tag).chain([reading.device.as_str()]);
                for text in texts {
                    prop_assert!(text.chars().count() <= 200 && !text.chars().any(char::is_control), "{text:?}");
                }
                prop_assert!((1970..2200).contains(&reading.event_time.year()));
            }
            Err(error) => {
                let reason = error.to_string();
                prop_assert!(reason.len() <= MOST_REASON_BYTES && !reason.chars().any(char::is_control), "{reason:?}");
            }
        }
    }
}

#[test]
fn the_reason_of_a_long_text_does_not_repeat_it() {
    let text = format!("\"{}\"", "x".repeat(MAX_PAYLOAD_BYTES / 2));
    let decoder = Decoder::new(&household());
    for payload in [text.clone(), broken("\"meter-0001\"", &text), broken("\"2007-01-01T00:00:00Z\"", &text)] {
        let reason = decoder.decode(payload.as_bytes()).unwrap_err().to_string();
        assert!(reason.len() <= MOST_REASON_BYTES, "{} bytes", reason.len());
    }
}
