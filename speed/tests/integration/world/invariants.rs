//! What must hold after every step, and at the end.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::{OffsetSpan, SourcePartition},
    detect::fold::ModelSet,
    log::{Log, LogRecord},
    position::{DeviceId, Offset},
    views::{PublishOutcome, UsageQuery},
};
use kilowatch_speed::replay::{replay_log, replay_readings};

use super::World;
use crate::{
    stream::{DEVICES, MEASURE, WINDOW_SECS, epoch},
    truth::{Truth, Usage, assert_same_usage},
};

impl World {
    /// Merged usage is the truth over [0, A) (I2), the views' anomalies are a replay's (I4, I3), and the lake holds
    /// every offset below L once, as what the recorded pins make of it, and none above (I1).
    pub async fn check(&mut self, when: &str) {
        let Some(state) = self.state().await else { return };
        let stale = self.truth.as_ref().is_none_or(|(a, cuts, _)| *a != state.applied || *cuts != state.cuts);
        if stale {
            let below: Vec<LogRecord> =
                self.records.iter().filter(|record| record.offset < state.applied).cloned().collect();
            let truth = Truth::of(&self.partition, &state.cuts, &below);
            self.truth = Some((state.applied, state.cuts.clone(), truth));
        }
        let Some((_, _, truth)) = &self.truth else { return };
        assert_same_usage(&self.merged_usage().await, &truth.usage(), when);
        let anomalies = self.views.anomalies_of(&self.partition).await.unwrap();
        assert_eq!(anomalies, truth.anomalies, "I4: the views' anomalies are not those of a replay {when}");
        let told = self.views.outbox_entries(&self.partition, 10_000, u64::MAX).await.unwrap();
        let told: BTreeSet<String> = told.into_iter().map(|entry| entry.id).collect();
        let dead = truth.dead_letters.iter().map(|letter| format!("dead:{}", letter.position));
        let to_be_told: BTreeSet<String> = anomalies.iter().map(|anomaly| anomaly.id.clone()).chain(dead).collect();
        assert!(
            !self.outbox_is_checked || told == to_be_told,
            "I3: the outbox does not tell what the views hold {when}"
        );

        let closed = self.closed().await;
        let mut held: BTreeSet<Offset> = BTreeSet::new();
        let mut readings = self.lake.readings(&self.profile.name);
        readings.sort_by_key(|row| row.position.offset);
        let mut dead_letters = self.lake.dead_letters(&self.profile.name);
        dead_letters.sort_by_key(|row| row.position.offset);
        let offsets =
            readings.iter().map(|row| row.position.offset).chain(dead_letters.iter().map(|row| row.position.offset));
        for offset in offsets {
            assert!(held.insert(offset), "I1: the lake holds {offset} twice {when}");
        }
        for record in self.records.iter().filter(|record| record.offset < closed) {
            assert!(held.contains(&record.offset), "I1: the lake skips {} below L = {closed} {when}", record.offset);
        }
        assert!(readings.iter().all(|row| row.position.offset < closed), "I1: the lake holds readings above L {when}");
        for row in readings.iter().filter(|row| row.position.offset < state.applied) {
            assert!(
                truth.readings.contains(row),
                "I1: the lake's {row:?} is not what the recorded pins make of it {when}"
            );
        }
        for row in dead_letters.iter().filter(|row| row.position.offset < state.applied) {
            assert!(truth.dead_letters.contains(row), "I1: {row:?} is no dead letter by the recorded pins {when}");
        }
    }

    async fn merged_usage(&self) -> Usage {
        let mut usage = Usage::new();
        for device in DEVICES {
            let query = UsageQuery {
                stream: self.profile.name.clone(),
                device: Some(DeviceId::parse(device).unwrap()),
                group: None,
                measure: MEASURE.to_owned(),
                window_secs: WINDOW_SECS,
                from: epoch() - TimeDelta::days(1),
                until: epoch() + TimeDelta::days(1),
                limit: 1000,
            };
            for window in self.views.usage(&query).await.unwrap().windows {
                let key: (String, DateTime<Utc>) = (device.to_owned(), window.start);
                usage.insert(key, window.partial);
            }
        }
        usage
    }

    /// Everything is through: the lake holds each message once, a publication of all of it changes no answer, and
    /// replays of log and lake find the anomalies of the views.
    pub async fn check_the_end(&mut self) {
        self.check("at the end").await;
        let state = self.state().await.unwrap();
        let span = OffsetSpan { from: state.cuts[0].offset, to: state.applied };
        let stored = self.views.anomalies_of(&self.partition).await.unwrap();
        let mut rows = self.lake.readings(&self.profile.name);
        rows.sort_by_key(|row| row.position.offset);
        let from_lake = replay_readings(&self.partition, &state.cuts, ModelSet::default(), &rows).unwrap();
        assert_eq!(from_lake, stored, "I4: a replay of the lake finds other anomalies");
        let low = self.log.watermarks(&SourcePartition::from(&self.partition)).await.unwrap().low;
        if low <= span.from {
            let log: &dyn Log = self.log.as_ref();
            let from_log = replay_log(log, &self.partition, &state.cuts, ModelSet::default(), span).await.unwrap();
            assert_eq!(from_log, stored, "I4: a replay of the log finds other anomalies");
        }
        let lake_rows = rows.len() + self.lake.dead_letters(&self.profile.name).len();
        assert_eq!(lake_rows, self.records.len(), "I1: the lake does not hold every message");

        self.jobs.clear();
        self.begin_job().await;
        assert!(matches!(self.publish(true).await, None | Some(PublishOutcome::Published)));
        self.check("after the last publication").await;
        self.housekeep().await;
        self.check("after housekeeping").await;
    }
}
