//! What is there after the last stop, held against the invariants.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use kilowatch_shared::{
    anomaly::Anomaly,
    checkpoint::OffsetSpan,
    clock::SystemClock,
    lake::{SegmentLake, delta::DeltaLake, store::LakeStore},
    log,
    position::{Offset, PartitionId, StreamName},
    reading::LakeReading,
    stream::{StreamProfile, StreamRegistry},
    views::{self, SharedViews},
};

use super::{drain, sender::Key};
use crate::{hourly_totals::HourlyTotals, process::run};

/// Stops at the first invariant that does not hold.
pub async fn ends_well(data: &Path, folder: &Path, acknowledged: &BTreeMap<u64, Key>) {
    drain(data);
    let end = Ended::read(data).await;
    println!("{} messages, {} acknowledged readings, {} anomalies", end.high, acknowledged.len(), end.anomalies.len());
    let verified = tokio::task::block_in_place(|| run(data, &["batch", "verify"]));
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    end.nothing_is_lost_and_nothing_is_twice(acknowledged);
    end.merged_usage_equals_a_recomputation().await;
    a_replay_finds_the_same_anomalies(data, folder, &end).await;
}

/// Everything that is there after the last stop.
struct Ended {
    profile: StreamProfile,
    views: SharedViews,
    high: u64,
    readings: Vec<LakeReading>,
    anomalies: BTreeMap<String, Anomaly>,
}

impl Ended {
    async fn read(data: &Path) -> Self {
        let registry = StreamRegistry::built_in().unwrap();
        let profile = registry.find(&StreamName::parse("household").unwrap()).unwrap().clone();
        let log_path = data.join("log.sqlite");
        let log = log::open(log_path.to_str().unwrap(), Arc::new(SystemClock)).await.unwrap();
        let source = log.partitions(&profile.topic).await.unwrap().remove(0);
        let high = log.watermarks(&source).await.unwrap().high;
        let partition =
            PartitionId { stream: profile.name.clone(), source: source.source, partition: source.partition };
        let lake = DeltaLake::new(
            LakeStore::open(data.join("lake").to_str().unwrap(), &BTreeMap::new()).unwrap(),
            Arc::new(SystemClock),
        );
        let whole = OffsetSpan { from: Offset::ZERO, to: high };
        let readings = lake.read_readings(&profile, &partition, whole).await.unwrap();
        let views = views::open(data.join("views.sqlite").to_str().unwrap()).await.unwrap();
        let applied = views.partition(&partition).await.unwrap().unwrap().applied;
        assert_eq!(applied, high, "speed did not apply everything");
        let found = views.anomalies_of(&partition).await.unwrap();
        assert!(found.len() > 50, "only {} anomalies: the test judges too little", found.len());
        let anomalies = found.into_iter().map(|anomaly| (anomaly.id.clone(), anomaly)).collect();
        Self { profile, views, high: high.get(), readings, anomalies }
    }

    /// I1.
    fn nothing_is_lost_and_nothing_is_twice(&self, acknowledged: &BTreeMap<u64, Key>) {
        let offsets: Vec<u64> = self.readings.iter().map(|row| row.position.offset.get()).collect();
        let expected: Vec<u64> = (0..self.high).collect();
        assert_eq!(offsets, expected, "the lake does not hold every offset exactly once");
        let key = |row: &LakeReading| -> Key { (row.reading.device.to_string(), row.reading.event_time) };
        // Offsets are gapless, so an offset is an index.
        let rows = &self.readings;
        let lost = acknowledged
            .iter()
            .find(|(offset, sent)| rows.get(usize::try_from(**offset).unwrap()).map(key).as_ref() != Some(*sent));
        assert_eq!(lost, None, "the lake does not hold what was acknowledged");
        let counted: Vec<Key> = rows.iter().filter(|row| !row.is_duplicate).map(key).collect();
        let distinct: BTreeSet<&Key> = counted.iter().collect();
        assert_eq!(counted.len(), distinct.len(), "a reading counts twice");
        let uncounted = acknowledged.values().find(|sent| !distinct.contains(sent));
        assert_eq!(uncounted, None, "an acknowledged reading does not count");
    }

    /// I2.
    async fn merged_usage_equals_a_recomputation(&self) {
        let counted = self.readings.iter().filter(|row| !row.is_duplicate);
        let expected = HourlyTotals::of(
            "active_power",
            counted.map(|row| (row.reading.event_time, row.reading.measures[0].unwrap())),
        );
        let usage = expected.is_served(&self.views, &self.profile.name).await;
        assert!(usage.boundary.lake_version.is_some(), "batch never published: the seam was not tried");
        assert!(
            usage.windows.iter().any(|w| w.batch_count > 0 && w.batch_count < w.partial.count)
                || usage.windows.iter().any(|w| w.batch_count == 0),
            "speed answers nothing: the seam was not tried"
        );
    }
}

/// I4: the same log into an empty lake and empty views.
async fn a_replay_finds_the_same_anomalies(data: &Path, folder: &Path, end: &Ended) {
    let replay = folder.join("replay");
    std::fs::create_dir(&replay).unwrap();
    for name in ["log.sqlite", "log.sqlite-wal"] {
        if data.join(name).exists() {
            std::fs::copy(data.join(name), replay.join(name)).unwrap();
        }
    }
    drain(&replay);
    let again = Ended::read(&replay).await;
    assert_eq!(again.readings.len(), end.readings.len());
    assert_eq!(again.anomalies, end.anomalies, "a replay judges differently");
}
