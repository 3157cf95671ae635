//! The stream that the tests speak: two meters, one measure, a detector that alarms soon.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::Pins,
    cut_line::PinSet,
    log::NewRecord,
    stream::{KernelConfig, StreamProfile, TimeFormat},
};
use proptest::prelude::*;

pub const TOPIC: &str = "meter-readings";
pub const MEASURE: &str = "power";
pub const WINDOW_SECS: u32 = 3600;
pub const DEVICES: [&str; 2] = ["meter-a", "meter-b"];

const PROFILE: &str = r#"
name = "test-meters"
description = "Two meters of a test"
topic = "meter-readings"
key_field = "device_id"
time_field = "timestamp"
interval_secs = 60
rollup_windows_secs = [3600]
measures = [{ name = "power", unit = "kW", label = "Power" }]

[[detectors]]
name = "three_sigma"
min_readings = 3

[detectors.kernel.three_sigma]
measures = ["power"]
baseline = { rolling = { window_readings = 8 } }
sigmas = 1.25
"#;

/// The profile of the stream.
pub fn profile() -> StreamProfile {
    StreamProfile::parse(PROFILE, "test").unwrap()
}

/// Pins of which each is a promotion of its own: all judge differently, and the last ones decode differently too, so
/// that a row of the lake tells which pins it was decoded with.
pub fn pin_variants() -> Vec<PinSet> {
    let text = TimeFormat::Rfc3339;
    [(1.25, text), (0.75, text), (2.0, text), (1.25, TimeFormat::EpochMillis)]
        .into_iter()
        .map(|(sigmas, time_format)| {
            let mut profile = StreamProfile { time_format, ..profile() };
            for detector in &mut profile.detectors {
                if let KernelConfig::ThreeSigma(config) = &mut detector.kernel {
                    config.sigmas = sigmas;
                }
            }
            PinSet::try_new(Arc::new(Pins::of_this_build(&profile, BTreeMap::new()))).unwrap()
        })
        .collect()
}

/// When the stream begins.
pub fn epoch() -> DateTime<Utc> {
    DateTime::from_timestamp(1_167_609_600, 0).unwrap()
}

/// A message of the test stream. Equal minutes of one device are duplicates, smaller ones come late.
#[derive(Debug, Clone)]
pub enum Message {
    Reading {
        device: usize,
        minute: i64,
        power: Option<i32>,
    },
    /// A reading only by pins that expect its form of a time.
    Millis {
        device: usize,
        minute: i64,
        power: i32,
    },
    Poison(&'static [u8]),
    Tombstone,
}

impl Message {
    pub fn to_record(&self) -> NewRecord {
        let payload = match self {
            Self::Reading { device, minute, power } => {
                let at = (epoch() + TimeDelta::minutes(*minute)).format("%Y-%m-%dT%H:%M:%SZ");
                let power = power.map_or_else(|| "null".to_owned(), |power| format!("{}.{}", power / 10, power % 10));
                let body = format!(r#"{{"device_id":"{}","timestamp":"{at}","power":{power}}}"#, DEVICES[*device]);
                Some(Bytes::from(body))
            }
            Self::Millis { device, minute, power } => {
                let at = (epoch() + TimeDelta::minutes(*minute)).timestamp_millis();
                Some(Bytes::from(format!(r#"{{"device_id":"{}","timestamp":{at},"power":{power}}}"#, DEVICES[*device])))
            }
            Self::Poison(bytes) => Some(Bytes::from_static(bytes)),
            Self::Tombstone => None,
        };
        let key = match self {
            Self::Reading { device, .. } | Self::Millis { device, .. } => {
                Some(Bytes::from_static(DEVICES[*device].as_bytes()))
            }
            Self::Poison(_) | Self::Tombstone => None,
        };
        NewRecord { key, payload, headers: Vec::new() }
    }
}

/// A minute of the first device each; every fourth one is an alarm.
pub fn readings(from: i64, count: i64) -> Vec<Message> {
    (from..from + count)
        .map(|minute| {
            let power = if minute % 4 == 3 { 90 } else { 10 + i32::try_from(minute % 3).unwrap() };
            Message::Reading { device: 0, minute, power: Some(power) }
        })
        .collect()
}

/// Any message: mostly readings within eight hours, so that late ones, duplicates and several windows are common.
pub fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        12 => (0..DEVICES.len(), 0..480_i64, prop_oneof![4 => 10..20_i32, 1 => 0..9999_i32])
            .prop_map(|(device, minute, power)| Message::Reading { device, minute, power: Some(power) }),
        3 => (0..DEVICES.len(), 0..6_i64, 10..20_i32)
            .prop_map(|(device, minute, power)| Message::Reading { device, minute, power: Some(power) }),
        1 => (0..DEVICES.len(), 0..480_i64).prop_map(|(device, minute)| Message::Reading { device, minute, power: None }),
        3 => (0..DEVICES.len(), 0..480_i64, 0..99_i32)
            .prop_map(|(device, minute, power)| Message::Millis { device, minute, power }),
        1 => Just(Message::Poison(b"{ not json")),
        1 => Just(Message::Poison(b"\xff\xfe")),
        1 => Just(Message::Poison(br#"{"device_id":"meter-a","power":1.0}"#)),
        1 => Just(Message::Tombstone),
    ]
}
