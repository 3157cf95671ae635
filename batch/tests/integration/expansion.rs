//! A profile gains a measure: jobs read what came before it and after it, whichever of the two profiles they have.

use std::sync::Arc;

use kilowatch_batch::{
    ingest::NoProgress,
    jobs::{
        compact::{CompactRequest, compact},
        rollup::{RollupRequest, rollup},
        verify::{VerifyRequest, verify},
    },
};
use kilowatch_shared::stream::{StreamProfile, profile::Measure};

use crate::{
    bench_room::{Room, assert_same_windows, instant, minute, uci},
    live::LivePartition,
};

const NEW: &str = "temperature";

fn wider(profile: &StreamProfile) -> StreamProfile {
    let mut wider = profile.clone();
    let measure = Measure { name: NEW.to_owned(), unit: "°C".to_owned(), label: "Temperature".to_owned() };
    wider.measures.push(measure);
    wider
}

/// A CSV of these minutes with the measure that is new.
fn with_temperature(minutes: std::ops::Range<u32>) -> Vec<u8> {
    let measures = "active_power,reactive_power,voltage,current,sub_metering_1,sub_metering_2,sub_metering_3";
    let mut text = format!("timestamp,{measures},{NEW}\n");
    for at in minutes {
        let at = instant("2006-12-31T23:00:00Z") + chrono::TimeDelta::minutes(i64::from(at));
        text.push_str(&format!("{},1,0.1,240,4,0,1,17,21.5\n", at.to_rfc3339()));
    }
    text.into_bytes()
}

#[tokio::test]
async fn rows_from_before_and_after_are_rolled_up_marked_merged_and_verified_by_either_profile() {
    let mut room = Room::new().await;
    let old = room.profile.clone();
    let mut live = LivePartition::open(&room).await;
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0), &minute(1, 1.0)])).await;
    room.rollup(false).await;

    // Somebody starts with the new profile; the member that is at work has the old one.
    room.profile = wider(&old);
    let version = room.deps.lake.expand(&room.profile).await.unwrap();
    assert_eq!(version, Some(1));
    assert_eq!(room.verify().await.differing(), 0, "a table without the column yet");
    room.ingest_bytes("b.txt", &with_temperature(60..63)).await;
    room.profile = old.clone();
    for (at, power) in [(61, 9.0), (130, 2.0)] {
        let at = instant("2006-12-31T23:00:00Z") + chrono::TimeDelta::minutes(at);
        live.read(at, &[power, 0.1, 240.0, 4.0, 0.0, 1.0, 17.0]);
    }
    live.close(&room).await;

    // The old profile's roll-up marks a live row, in a file that has the new column after the merge.
    let compacted = async |profile: &StreamProfile| {
        compact(&room.deps, profile, &CompactRequest::default(), Arc::new(NoProgress)).await.unwrap()
    };
    compacted(&old).await;
    let report = rollup(&room.deps, &old, &RollupRequest::default()).await.unwrap();
    assert_eq!(report.superseded_rows, 1);
    let temperatures = "SELECT COUNT(temperature) FROM readings";
    assert_eq!(room.number(temperatures).await, 3, "a job that does not know a column keeps it");

    let wide = wider(&old);
    compacted(&wide).await;
    rollup(&room.deps, &wide, &RollupRequest { full: true, as_of: None }).await.unwrap();
    let full = room.published().await;
    let of_new = full.iter().filter(|(key, _)| key.measure == NEW);
    assert_eq!(of_new.map(|(_, partial)| (partial.count, partial.sum)).collect::<Vec<_>>(), [(3, 64.5)]);
    room.profile = wide.clone();
    room.ingest_bytes("c.txt", &with_temperature(200..210)).await;
    room.rollup(false).await;
    let incremental = room.published().await;
    room.rollup(true).await;
    assert_same_windows(&incremental, &room.published().await);
    let report = verify(&room.deps, &wide, &VerifyRequest::default()).await.unwrap();
    assert!(report.holds(), "{:?}", report.examples);
    assert_eq!(room.number(temperatures).await, 13);
}
