//! Messages that mean harm, through the running layer: each becomes a reading or a dead letter, and nothing stops.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::SourcePartition,
    clock::FixedClock,
    log::{NewRecord, memory::MemoryLog},
    views::UsageQuery,
};

use crate::{
    bench::{Bench, wait_until},
    stream::{MEASURE, Message, WINDOW_SECS, epoch, profile},
};

/// The value of the measure in an otherwise good message.
fn with_power(power: &str) -> Vec<u8> {
    format!(r#"{{"device_id":"meter-a","timestamp":"2007-01-01T00:00:00Z","power":{power}}}"#).into_bytes()
}

fn with_device(device: &str) -> Vec<u8> {
    format!(r#"{{"device_id":{device},"timestamp":"2007-01-01T00:00:00Z","power":1.0}}"#).into_bytes()
}

fn poison() -> Vec<Option<Vec<u8>>> {
    let nested = format!(r#"{{"device_id":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let mut bodies: Vec<Vec<u8>> =
        ["1e300", "-1e300", "1.7e308", "1.7e308", "-1.7e308", "1e400", "NaN", "-Infinity", "\"2.5\"", "1.1e18", "[1]"]
            .map(with_power)
            .to_vec();
    bodies.extend([r#""a\u0000b""#, r#""\u001b[31m""#, "\"\"", "1.5"].map(with_device));
    bodies.push(with_device(&format!("\"{}\"", "x".repeat(900_000))));
    bodies.push(format!("\"{}\"", "\\u0001".repeat(100_000)).into_bytes());
    bodies.push(nested.into_bytes());
    bodies.extend(
        ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "yesterday"]
            .map(|time| format!(r#"{{"device_id":"meter-a","timestamp":"{time}","power":1.0}}"#).into_bytes()),
    );
    bodies.push(vec![b' '; 10 << 20]);
    bodies.push(b"\xff\xfe\x00".to_vec());
    bodies.push(Vec::new());
    let mut bodies: Vec<Option<Vec<u8>>> = bodies.into_iter().map(Some).collect();
    bodies.push(None);
    bodies
}

fn record(payload: Option<Vec<u8>>) -> NewRecord {
    NewRecord { key: Some(Bytes::from_static(b"\x00\xff")), payload: payload.map(Bytes::from), headers: Vec::new() }
}

#[tokio::test]
async fn whatever_is_sent_ends_as_a_reading_or_a_dead_letter_and_sums_stay_finite() {
    // The producers' clock is broken as well.
    let bench = Bench::with_log(MemoryLog::new(Arc::new(FixedClock(DateTime::<Utc>::MAX_UTC))), 1).await;
    let poison = poison();
    let mut records: Vec<NewRecord> = poison.iter().cloned().map(record).collect();
    // The largest values that are taken, and ordinary ones behind them.
    let large = ["1e18", "1e18", "-1e18", "1e18", "-0.0"];
    records.extend(large.iter().enumerate().map(|(minute, power)| {
        let body = format!(r#"{{"device_id":"meter-a","timestamp":"2007-01-01T00:{minute:02}:00Z","power":{power}}}"#);
        record(Some(body.into_bytes()))
    }));
    records.extend((10..40).map(|minute| Message::Reading { device: 0, minute, power: Some(10) }.to_record()));
    bench.log.put(&SourcePartition::from(&bench.partitions[0]), &records).unwrap();

    let run = bench.run();
    wait_until("everything is in the lake", async || bench.closed().await == records.len() as u64).await;
    run.stop().await;
    bench.assert_lake_holds(records.len());

    let dead_letters = bench.lake.dead_letters(&profile().name);
    let kept: Vec<Vec<u8>> = dead_letters.iter().map(|letter| letter.raw.to_vec()).collect();
    let sent: Vec<Vec<u8>> = poison.into_iter().map(Option::unwrap_or_default).collect();
    assert!(kept == sent, "the dead letters are not the poison as it came");
    for letter in &dead_letters {
        assert!(letter.reason.len() < 1000 && !letter.reason.chars().any(char::is_control), "{:?}", letter.reason);
    }
    assert_eq!(bench.views.recent_dead_letters(&profile().name, 100).await.unwrap().len(), dead_letters.len());

    let query = UsageQuery {
        stream: profile().name,
        device: None,
        group: None,
        measure: MEASURE.to_owned(),
        window_secs: WINDOW_SECS,
        from: epoch(),
        until: epoch() + TimeDelta::days(1),
        limit: 10,
    };
    let windows = bench.views.usage(&query).await.unwrap().windows;
    assert_eq!(windows.len(), 1, "{windows:?}");
    let partial = windows[0].partial;
    assert_eq!((partial.count, partial.min, partial.max), (35, -1e18, 1e18));
    assert!(partial.sum.is_finite() && partial.sum_squares.is_finite(), "{partial:?}");
}

#[tokio::test]
async fn what_only_looks_like_poison_is_a_reading() {
    let bench = Bench::new(1).await;
    let plain = |minute| Message::Reading { device: 0, minute, power: Some(10) }.to_record();
    let records = [
        NewRecord { key: None, ..plain(0) },
        record(Some(br#"{"device_id":"never-seen-before","timestamp":"2007-01-01T00:00:00Z","power":1.0}"#.to_vec())),
        plain(1),
        plain(1),
        plain(90 * 24 * 60),
        // Late by three months.
        plain(2),
        record(Some(br#"{"device_id":"meter-a","timestamp":"2007-01-01T00:03:00Z","power":null,"more":[1]}"#.to_vec())),
    ];
    bench.log.put(&SourcePartition::from(&bench.partitions[0]), &records).unwrap();
    let run = bench.run();
    wait_until("everything is in the lake", async || bench.closed().await == records.len() as u64).await;
    run.stop().await;
    assert_eq!(bench.lake.dead_letters(&profile().name), []);
    let readings = bench.lake.readings(&profile().name);
    assert_eq!(readings.len(), records.len());
    let duplicates: Vec<u64> =
        readings.iter().filter(|row| row.is_duplicate).map(|row| row.position.offset.get()).collect();
    assert_eq!(duplicates, [3], "the second of two equal readings is a duplicate, and nothing else is");
}
