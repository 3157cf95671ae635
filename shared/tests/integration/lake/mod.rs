//! What the lake on Delta tables promises beyond the contract: faults, time travel, batch's side, SQL.

mod checkpoints;
mod expansion;
mod expire;
mod faults;
mod foreign;
mod ingest;
mod read_only;
mod session;
mod time_travel;
mod versions;

use std::{collections::BTreeMap, sync::Arc};

use kilowatch_shared::{
    clock::FixedClock,
    lake::{CommitOutcome, LakeSnapshot, LakeTable, SegmentLake, delta::DeltaLake, store::LakeStore},
};

use crate::contracts::lake::subject::{at_minute, partition, profile, segment};

const NOTHING: LakeSnapshot = LakeSnapshot { version: None, closed: BTreeMap::new() };

fn door(store: &LakeStore) -> DeltaLake {
    DeltaLake::new(store.clone(), Arc::new(FixedClock(at_minute(0))))
}

/// Closes the next segment of partition 0 up to `to`.
async fn close(lake: &DeltaLake, to: u64) -> CommitOutcome {
    let base = lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    let from = base.closed_to(&partition(0)).unwrap_or_default().get();
    lake.append_readings(&profile(), &base, &[segment(&partition(0), from, to)]).await.unwrap()
}
