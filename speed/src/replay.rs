//! A replay: the same fold over the same messages and recorded pins, with nothing else around it.
//!
//! What it finds has to equal what the views hold, whatever the micro-batches, segments, crashes and owners were (I4).

use std::time::Duration;

use kilowatch_shared::{
    anomaly::{Anomaly, Findings},
    checkpoint::{Cut, OffsetSpan, SourcePartition},
    cut_line::CutLine,
    detect::fold::{Folded, ModelSet},
    log::{Log, LogRecord, ReadLimit},
    position::{Offset, PartitionId},
    reading::LakeReading,
};

use crate::{error::StepError, segmented_fold::SegmentedFold};

/// Messages of one read; some megabytes.
const READ_RECORDS: usize = 20_000;
/// Bytes of one read.
const READ_BYTES: usize = 16 << 20;
/// How long a read may wait for messages that the watermarks promise.
const READ_WAIT: Duration = Duration::from_secs(1);

/// Folds the messages, or the lake's readings, of one partition from its first cut on.
#[derive(Debug)]
pub struct Replay {
    partition: PartitionId,
    cuts: CutLine,
    models: ModelSet,
    fold: SegmentedFold,
    at: Offset,
}

impl Replay {
    /// A replay before the first message. `cuts` are the recorded ones, ascending; `models` are those that their pins
    /// name.
    ///
    /// # Errors
    /// [`StepError::CannotJudge`] without a cut, or with pins that this build cannot run.
    pub fn try_new(partition: &PartitionId, cuts: &[Cut], models: ModelSet) -> Result<Self, StepError> {
        let cannot = |reason: String| StepError::CannotJudge { partition: partition.clone(), reason };
        let line = CutLine::try_recorded(cuts).map_err(|error| cannot(error.to_string()))?;
        let cuts = line.ok_or_else(|| cannot("no cut was ever recorded".to_owned()))?;
        let at = cuts.start();
        let fold = SegmentedFold::try_new(partition, &cuts.at_or_below(at).pin_set, &models)?;
        Ok(Self { partition: partition.clone(), cuts, models, fold, at })
    }

    /// The verdicts on the next message. Messages come in offset order.
    ///
    /// # Errors
    /// [`StepError::CannotJudge`] with pins that this build cannot run.
    pub fn record(&mut self, record: &LogRecord) -> Result<Findings, StepError> {
        self.open_up_to(record.offset)?;
        Ok(match self.fold.fold(record) {
            Folded::Reading { anomalies, ended, .. } => Findings { anomalies, ended },
            Folded::DeadLetter(_) => Findings::default(),
        })
    }

    /// The verdicts on the next reading as the lake keeps it. Readings come in offset order, duplicates included.
    ///
    /// # Errors
    /// As of [`Self::record`].
    pub fn reading(&mut self, reading: &LakeReading) -> Result<Findings, StepError> {
        self.open_up_to(reading.position.offset)?;
        Ok(self.fold.replay(reading))
    }

    /// Which partition.
    #[must_use]
    pub const fn partition(&self) -> &PartitionId {
        &self.partition
    }

    /// Opens every segment up to the one that holds `offset`, also those without a message: a detector that such a
    /// segment's pins changed has started afresh.
    fn open_up_to(&mut self, offset: Offset) -> Result<(), StepError> {
        while let Some(cut) = self.cuts.next_above(self.at).filter(|cut| *cut <= offset) {
            self.fold.open_with(&self.cuts.at_or_below(cut).pin_set, &self.models)?;
            self.at = cut;
        }
        Ok(())
    }
}

/// Replays a partition of a log over `span`, which begins at the first recorded cut.
///
/// # Errors
/// Of the log, or [`StepError::CannotJudge`].
pub async fn replay_log(
    log: &dyn Log,
    partition: &PartitionId,
    cuts: &[Cut],
    models: ModelSet,
    span: OffsetSpan,
) -> Result<Vec<Anomaly>, StepError> {
    let mut replay = Replay::try_new(partition, cuts, models)?;
    let log_partition = SourcePartition::from(partition);
    let limit = ReadLimit { records: READ_RECORDS, bytes: READ_BYTES, before: Some(span.to) };
    let (mut findings, mut at) = (Findings::default(), span.from);
    while at < span.to {
        let fetched = log.read(&log_partition, at, limit, READ_WAIT).await?;
        if fetched.next <= at {
            return Err(StepError::NothingDelivered { partition: partition.clone(), from: at, to: span.to });
        }
        for record in &fetched.records {
            findings.extend(replay.record(record)?);
        }
        at = fetched.next;
    }
    Ok(findings.settle())
}

/// Replays the readings that the lake holds of a partition, in offset order, duplicates included.
///
/// # Errors
/// [`StepError::CannotJudge`].
pub fn replay_readings<'a>(
    partition: &PartitionId,
    cuts: &[Cut],
    models: ModelSet,
    readings: impl IntoIterator<Item = &'a LakeReading>,
) -> Result<Vec<Anomaly>, StepError> {
    let mut replay = Replay::try_new(partition, cuts, models)?;
    let mut findings = Findings::default();
    for reading in readings {
        findings.extend(replay.reading(reading)?);
    }
    Ok(findings.settle())
}
