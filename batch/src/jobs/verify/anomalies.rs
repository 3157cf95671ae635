//! A replay of the lake raises the very alarms that speed raised, and ends their episodes alike (I4).

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    anomaly::{Anomaly, AnomalyOrigin, Findings},
    checkpoint::{Cut, OffsetSpan, SourcePartition},
    detect::fold::{ModelSet, PartitionFold},
    lake::{LakeError, SegmentLake, delta::TableFiles},
    position::{Offset, PartitionId},
    stream::StreamProfile,
    views::Aged,
};

use super::VerifyReport;
use crate::{
    BatchDeps, BatchError,
    saved_states::{models_of, newest_state, recorded_cuts, restored},
};

/// Offsets that are read from the lake at once, some 50 MB of readings.
const OFFSETS_AT_ONCE: u64 = 100_000;

/// Replays every partition that speed knows to L, from its first cut on, or from the saved state with which an expiry let
/// its readings begin.
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
        let begin = table.replay_from.get(&SourcePartition::from(&partition)).copied();
        let outcome = replay.run(&cuts, begin, closed).await.map_err(overtaken)?;
        report.replayed_readings += replay.readings;
        match outcome {
            Ok(()) => {
                replay.alarms.retain(|_, alarm| floor.is_none_or(|floor| alarm.event_time >= floor));
                let compared = Replayed { alarms: replay.alarms, begin: begin.unwrap_or_default(), closed, floor };
                compare_partition(deps, &partition, compared, report).await?;
            }
            Err(reason) => report.not_replayed.push(format!("{partition}: {reason}")),
        }
    }
    Ok(())
}

/// An expiry that took readings from under the replay says nothing of them.
fn overtaken(error: BatchError) -> BatchError {
    match error {
        BatchError::Lake(LakeError::Expired { .. }) => {
            let reason = "readings went by their age while they were replayed; run it again".to_owned();
            BatchError::Contended { job: "verify", attempts: 1, reason }
        }
        other => other,
    }
}

async fn compare_partition(
    deps: &BatchDeps,
    partition: &PartitionId,
    replayed: Replayed,
    report: &mut VerifyReport,
) -> Result<(), BatchError> {
    let Replayed { alarms: mut replayed, begin, closed, floor } = replayed;
    let served = deps.views.anomalies_of(partition).await?.into_iter();
    for mut anomaly in
        served.filter(|anomaly| anomaly.origin == AnomalyOrigin::Speed && anomaly.position.offset < closed)
    {
        // What it was raised by is gone; or it goes itself, once the outside has heard of it.
        let is_too_old = floor.is_some_and(|floor| anomaly.event_time < floor);
        if is_too_old || anomaly.position.offset < begin {
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

/// What a replay raised, and what it is compared with.
struct Replayed {
    alarms: HashMap<String, Anomaly>,
    /// The first offset that was replayed.
    begin: Offset,
    /// L.
    closed: Offset,
    /// Earlier alarms are too old.
    floor: Option<DateTime<Utc>>,
}

struct Replay<'a> {
    deps: &'a BatchDeps,
    partition: &'a PartitionId,
    alarms: HashMap<String, Anomaly>,
    readings: u64,
}

impl Replay<'_> {
    /// Folds what the lake holds below `closed`. The inner error says why nothing can be proved.
    async fn run(
        &mut self,
        cuts: &[Cut],
        begin: Option<Offset>,
        closed: Offset,
    ) -> Result<Result<(), String>, BatchError> {
        let mut fold: Option<PartitionFold> = None;
        if let Some(begin) = begin {
            match self.begun_at(begin).await {
                Ok(begun) => fold = Some(begun),
                Err(BatchError::CannotReplay { reason, .. }) => return Ok(Err(reason)),
                Err(error) => return Err(error),
            }
        }
        let cuts: Vec<&Cut> = cuts.iter().filter(|cut| begin.is_none_or(|begin| cut.offset >= begin)).collect();
        let mut models = ModelSet::default();
        for (index, cut) in cuts.iter().copied().enumerate() {
            // A cut a minute, a promotion a night: loading a model for each cut would take longer than the replay.
            let before = index.checked_sub(1).and_then(|before| cuts.get(before));
            if before.is_none_or(|before| before.pins.models != cut.pins.models) {
                models = models_of(self.deps, &cut.pins).await?;
            }
            let running = match fold.take() {
                None => PartitionFold::try_new(self.partition.clone(), &cut.pins, &models),
                Some(mut running) => running.open_segment(&cut.pins, &models).map(|()| running),
            };
            let mut running = match running {
                Ok(running) => running,
                Err(reason) => return Ok(Err(reason.to_string())),
            };
            let end = cuts.get(index + 1).map_or(closed, |next| next.offset);
            self.fold_segment(&mut running, cut, end).await?;
            fold = Some(running);
        }
        Ok(Ok(()))
    }

    /// The fold of the state at an offset, which an expiry left in the place of the readings below it.
    async fn begun_at(&self, begin: Offset) -> Result<PartitionFold, BatchError> {
        if let Some(cuts) = recorded_cuts(self.deps, self.partition, "verify").await?
            && let Some(state) = newest_state(self.deps, self.partition, &cuts, begin).await?
            && state.offset == begin
        {
            return restored(self.deps, self.partition, &cuts, &state).await;
        }
        Err(BatchError::CannotReplay {
            partition: self.partition.clone(),
            reason: format!("readings below {begin} are gone by their age, and so is the detectors' state there"),
        })
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
}
