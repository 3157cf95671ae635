//! A replay of the lake raises the very alarms that speed raised, and ends their episodes alike (I4).

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    anomaly::{Anomaly, AnomalyOrigin, Findings},
    checkpoint::{Cut, OffsetSpan},
    detect::fold::{FoldError, ModelSet, PartitionFold},
    lake::{SegmentLake, delta::TableFiles},
    position::{Offset, PartitionId},
    stream::StreamProfile,
    views::Aged,
};

use super::VerifyReport;
use crate::{BatchDeps, BatchError};

/// Offsets that are read from the lake at once, some 50 MB of readings.
const OFFSETS_AT_ONCE: u64 = 100_000;

/// Replays every partition that speed knows, from its first cut to L.
pub(super) async fn compare(
    deps: &BatchDeps,
    profile: &StreamProfile,
    table: &TableFiles,
    report: &mut VerifyReport,
) -> Result<(), BatchError> {
    let floor = deps.views.age_floors(&profile.name).await?.of(Aged::Anomalies);
    for partition in deps.views.known_partitions(&profile.name).await? {
        let Some(closed) = table.snapshot().closed_to(&partition) else { continue };
        let cuts: Vec<Cut> = deps.views.cuts(&partition).await?.into_iter().filter(|cut| cut.offset < closed).collect();
        let mut replay = Replay { deps, partition: &partition, alarms: HashMap::new(), readings: 0 };
        let outcome = replay.run(&cuts, closed).await?;
        report.replayed_readings += replay.readings;
        match outcome {
            Ok(()) => {
                replay.alarms.retain(|_, alarm| floor.is_none_or(|floor| alarm.event_time >= floor));
                compare_partition(deps, &partition, (closed, floor), replay.alarms, report).await?;
            }
            Err(reason) => report.not_replayed.push(format!("{partition}: {reason}")),
        }
    }
    Ok(())
}

async fn compare_partition(
    deps: &BatchDeps,
    partition: &PartitionId,
    (closed, floor): (Offset, Option<DateTime<Utc>>),
    mut replayed: HashMap<String, Anomaly>,
    report: &mut VerifyReport,
) -> Result<(), BatchError> {
    let served = deps.views.anomalies_of(partition).await?.into_iter();
    for mut anomaly in
        served.filter(|anomaly| anomaly.origin == AnomalyOrigin::Speed && anomaly.position.offset < closed)
    {
        // It is gone by the next expiry, unless a notification of it still waits.
        if floor.is_some_and(|floor| anomaly.event_time < floor) {
            report.too_old += 1;
            continue;
        }
        // An episode may have ended above L, which the lake does not know yet.
        anomaly.ended = anomaly.ended.filter(|end| end.end_offset < closed);
        report.anomalies.checked += 1;
        match replayed.remove(&anomaly.id) {
            Some(again) if again == anomaly => {}
            Some(again) => {
                report.anomalies.differing += 1;
                report.describe(|| {
                    let (served, score) = (anomaly.verdict.score, again.verdict.score);
                    if anomaly.ended == again.ended {
                        format!("{}: {} is served with {served}, a replay scores {score}", anomaly.position, anomaly.id)
                    } else {
                        let (served, again) = (anomaly.ended, again.ended);
                        format!(
                            "{}: the episode is served with the end {served:?}, a replay ends it {again:?}",
                            anomaly.position
                        )
                    }
                });
            }
            None => {
                report.anomalies.differing += 1;
                let detector = anomaly.verdict.detector;
                report.describe(|| format!("{}: {detector} is served, a replay does not raise it", anomaly.position));
            }
        }
    }
    for missing in replayed.into_values() {
        report.anomalies.checked += 1;
        report.anomalies.differing += 1;
        report.describe(|| format!("{}: {} is not served", missing.position, missing.verdict.detector));
    }
    Ok(())
}

struct Replay<'a> {
    deps: &'a BatchDeps,
    partition: &'a PartitionId,
    alarms: HashMap<String, Anomaly>,
    readings: u64,
}

impl Replay<'_> {
    /// Folds what the lake holds below `closed`. The inner error says that this build cannot run the pins.
    async fn run(&mut self, cuts: &[Cut], closed: Offset) -> Result<Result<(), FoldError>, BatchError> {
        let mut fold: Option<PartitionFold> = None;
        let mut models = ModelSet::default();
        for (index, cut) in cuts.iter().enumerate() {
            // A cut a minute, a promotion a night: loading a model for each cut would take longer than the replay.
            let before = index.checked_sub(1).and_then(|before| cuts.get(before));
            if before.is_none_or(|before| before.pins.models != cut.pins.models) {
                models = self.models_of(cut).await?;
            }
            let running = match fold.take() {
                None => PartitionFold::try_new(self.partition.clone(), &cut.pins, &models),
                Some(mut running) => running.open_segment(&cut.pins, &models).map(|()| running),
            };
            let mut running = match running {
                Ok(running) => running,
                Err(reason) => return Ok(Err(reason)),
            };
            let end = cuts.get(index + 1).map_or(closed, |next| next.offset);
            self.fold_segment(&mut running, cut, end).await?;
            fold = Some(running);
        }
        Ok(Ok(()))
    }

    async fn fold_segment(&mut self, fold: &mut PartitionFold, cut: &Cut, end: Offset) -> Result<(), BatchError> {
        let mut from = cut.offset;
        while from < end {
            let to = end.min(from.plus(OFFSETS_AT_ONCE));
            let span = OffsetSpan { from, to };
            for row in self.deps.lake.read_readings(&cut.pins.profile, self.partition, span).await? {
                self.readings += 1;
                let Findings { anomalies, ended } = fold.replay(&row);
                for ended in ended {
                    if let Some(alarm) = self.alarms.get_mut(&ended.anomaly_id) {
                        alarm.ended = Some(ended.end);
                    }
                }
                self.alarms.extend(anomalies.into_iter().map(|alarm| (alarm.id.clone(), alarm)));
            }
            from = to;
        }
        Ok(())
    }

    async fn models_of(&self, cut: &Cut) -> Result<ModelSet, BatchError> {
        let mut models = ModelSet::default();
        for id in cut.pins.models.values() {
            models.insert(id.clone(), Arc::clone(&self.deps.lake).load_model(id).await?);
        }
        Ok(models)
    }
}
