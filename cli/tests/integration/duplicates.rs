//! A producer that sends all of its messages a second time, for every built-in stream: the repeats are flagged, kept, and
//! counted by neither layer.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::OffsetSpan,
    clock::SystemClock,
    lake::{SegmentLake, delta::DeltaLake, store::LakeStore},
    position::Offset,
    reading::LakeReading,
    rollup::Partial,
    stream::{StreamProfile, StreamRegistry},
    views::{self, SharedViews, UsageQuery},
};

use crate::process::run;

/// Two devices, forty readings each: all inside of the window of event times that is remembered of a device.
const READINGS: u64 = 80;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_reading_is_flagged_and_kept_and_counted_by_neither_layer_whatever_the_stream() {
    for profile in StreamRegistry::built_in().unwrap().iter() {
        let (folder, stream) = (tempfile::tempdir().unwrap(), profile.name.as_str());
        let data = folder.path().join("data");
        for _ in 0..2 {
            let produce = ["simulate", "--stream", stream, "--to", "log", "--devices", "2", "--seed", "7"];
            done(&data, &[&produce[..], &["--from", "2026-03-02T12:00:00Z", "--count", "80"]].concat());
        }
        done(&data, &["speed", "run", "--stream", stream, "--until-caught-up"]);

        let views = views::open(data.join("views.sqlite").to_str().unwrap()).await.unwrap();
        let counts = views.counts(&profile.name, &profile.measures[0].name, 3600).await.unwrap().speed;
        assert_eq!((counts.readings, counts.duplicates, counts.dead_letters), (READINGS, READINGS, 0), "{stream}");
        let (first, again): (Vec<_>, Vec<_>) =
            readings(&data, profile, &views).await.into_iter().partition(|row| !row.is_duplicate);
        assert_eq!((first.len() as u64, again.len() as u64), (READINGS, READINGS), "{stream}");
        assert_eq!(by_key(&first), by_key(&again), "{stream}: the lake keeps a repeat as it came");

        // First speed answers alone, then batch alone.
        let live = usage(&views, profile).await;
        assert!(live.iter().all(|(_, _, batch_count)| *batch_count == 0), "{stream}");
        done(&data, &["batch", "rollup", "--stream", stream]);
        let published = usage(&views, profile).await;
        assert!(published.iter().all(|(_, partial, batch_count)| *batch_count == partial.count), "{stream}");
        for windows in [live, published] {
            let values = first.iter().filter(|row| row.reading.measures[0].is_some()).count() as u64;
            assert_eq!(windows.iter().map(|(_, partial, _)| partial.count).sum::<u64>(), values, "{stream}");
            let sum: f64 = first.iter().filter_map(|row| row.reading.measures[0]).sum();
            let served: f64 = windows.iter().map(|(_, partial, _)| partial.sum).sum();
            assert!((served - sum).abs() <= 1e-9 * sum.abs(), "{stream}: {served} is not {sum}");
        }
        done(&data, &["batch", "verify", "--stream", stream]);
    }
}

fn done(data: &Path, arguments: &[&str]) {
    let output = run(data, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// All readings that the lake holds of a stream's partitions.
async fn readings(data: &Path, profile: &StreamProfile, views: &SharedViews) -> Vec<LakeReading> {
    let store = LakeStore::open(data.join("lake").to_str().unwrap(), &BTreeMap::new()).unwrap();
    let lake = DeltaLake::new(store, Arc::new(SystemClock));
    let mut readings = Vec::new();
    for partition in views.known_partitions(&profile.name).await.unwrap() {
        let whole = OffsetSpan { from: Offset::ZERO, to: Offset::new(2 * READINGS) };
        readings.extend(lake.read_readings(profile, &partition, whole).await.unwrap());
    }
    readings
}

/// Device and event time of each reading, with what it measured.
fn by_key(rows: &[LakeReading]) -> BTreeMap<(String, DateTime<Utc>), String> {
    let entry = |row: &LakeReading| {
        let reading = &row.reading;
        ((reading.device.to_string(), reading.event_time), format!("{:?} {:?}", reading.measures, reading.injected))
    };
    rows.iter().map(entry).collect()
}

/// The merged hours of the stream's first measure, and how many of their values batch has seen.
async fn usage(views: &SharedViews, profile: &StreamProfile) -> Vec<(DateTime<Utc>, Partial, u64)> {
    let query = UsageQuery {
        stream: profile.name.clone(),
        device: None,
        group: None,
        measure: profile.measures[0].name.clone(),
        window_secs: 3600,
        from: DateTime::UNIX_EPOCH,
        until: DateTime::UNIX_EPOCH + TimeDelta::days(40_000),
        limit: 10_000,
    };
    let windows = views.usage(&query).await.unwrap().windows;
    windows.into_iter().map(|window| (window.start, window.partial, window.batch_count)).collect()
}
