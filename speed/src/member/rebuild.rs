//! Detector state at an offset, and the rows of a span, from what log and lake hold.

use std::time::Duration;

use kilowatch_shared::{
    checkpoint::{OffsetSpan, SourcePartition},
    cut_line::CutLine,
    detect::fold::Folded,
    lake::{LakeError, SavedState},
    log::{LogRecord, ReadLimit},
    position::{Offset, PartitionId},
};

use super::Doors;
use crate::{
    error::StepError,
    segmented_fold::{Absorb, SegmentedFold, absorb},
    unclosed::Rows,
};

/// Messages of one read while state is rebuilt: some megabytes, whatever the segment's size.
const READ_RECORDS: usize = 20_000;
/// Bytes of one such read.
const READ_BYTES: usize = 16 << 20;
/// Offsets of one read from the lake.
const LAKE_OFFSETS: u64 = 200_000;
/// How long one read may wait for messages that the watermarks promise.
const READ_WAIT: Duration = Duration::from_secs(1);
/// Saved states that are looked at in one go; the newest one nearly always counts.
const STATES_AT_ONCE: usize = 4;

/// Reads and folds spans of one partition that were folded before.
#[derive(Debug)]
pub(crate) struct Rebuild<'a> {
    pub(crate) doors: &'a Doors,
    pub(crate) partition: &'a PartitionId,
    pub(crate) cuts: &'a CutLine,
}

/// Keeps the rows that the lake will want.
impl Absorb for Rows {
    fn take(&mut self, _record: LogRecord, folded: Folded) {
        match folded {
            Folded::Reading { reading, .. } => {
                let _its_device = self.push_reading(&reading);
            }
            Folded::DeadLetter(letter) => self.push_dead_letter(letter),
        }
    }
}

impl Rebuild<'_> {
    /// The fold over all messages below `at`, from the newest state at or below it whose pins are the recorded ones.
    pub(crate) async fn fold_at(&self, at: Offset) -> Result<SegmentedFold, StepError> {
        let (mut fold, from) = match self.newest_state(at).await? {
            Some(found) => found,
            None => {
                let pins = &self.cuts.at_or_below(self.cuts.start()).pin_set;
                let models = self.doors.models.models_of(&pins.pins).await?;
                (SegmentedFold::try_new(self.partition, pins, &models)?, self.cuts.start())
            }
        };
        let low = self.doors.log.watermarks(&SourcePartition::from(self.partition)).await?.low;
        let in_lake = OffsetSpan { from, to: low.min(at) };
        if !in_lake.is_empty() {
            self.replay_lake(&mut fold, in_lake).await?;
        }
        self.fold_log(fold, (), OffsetSpan { from: from.max(in_lake.to), to: at }).await.map(|(fold, ())| fold)
    }

    /// The rows of a span that was folded before, and the state at its end, which is a cut.
    pub(super) async fn rows(&self, span: OffsetSpan) -> Result<(Rows, Option<SavedState>), StepError> {
        if span.is_empty() {
            return Ok((Rows::default(), None));
        }
        let fold = self.fold_at(span.from).await?;
        let (fold, rows) = self.fold_log(fold, Rows::default(), span).await?;
        Ok((rows, fold.save(span.to, self.cuts)))
    }

    /// Folds the log's messages of `span` into `sink`.
    pub(crate) async fn fold_log<S: Absorb>(
        &self,
        mut fold: SegmentedFold,
        mut sink: S,
        span: OffsetSpan,
    ) -> Result<(SegmentedFold, S), StepError> {
        let mut at = span.from;
        while at < span.to {
            let before = self.cuts.next_above(at).map_or(span.to, |cut| cut.min(span.to));
            let limit = ReadLimit { records: READ_RECORDS, bytes: READ_BYTES, before: Some(before) };
            let log_partition = SourcePartition::from(self.partition);
            let fetched = self.doors.log.read(&log_partition, at, limit, READ_WAIT).await?;
            if fetched.next <= at {
                let partition = self.partition.clone();
                return Err(StepError::NothingDelivered { partition, from: at, to: span.to });
            }
            fold.open(&self.cuts.at_or_below(at).pin_set, &self.doors.models).await?;
            (fold, sink) = absorb(fold, fetched.records, sink).await?;
            at = fetched.next;
        }
        Ok((fold, sink))
    }

    /// Retention passed these messages; their readings are in the lake, and a dead letter leaves no mark on a fold.
    async fn replay_lake(&self, fold: &mut SegmentedFold, span: OffsetSpan) -> Result<(), StepError> {
        let mut at = span.from;
        while at < span.to {
            let segment_end = self.cuts.next_above(at).map_or(span.to, |cut| cut.min(span.to));
            let to = segment_end.min(at.plus(LAKE_OFFSETS));
            let pin_set = &self.cuts.at_or_below(at).pin_set;
            fold.open(pin_set, &self.doors.models).await?;
            let span = OffsetSpan { from: at, to };
            let read = self.doors.lake.read_readings(&pin_set.pins.profile, self.partition, span).await;
            let readings = read.map_err(|error| self.hole_or(error))?;
            for reading in &readings {
                fold.replay(reading);
            }
            at = to;
        }
        Ok(())
    }

    /// No wait brings readings back that are gone by their age, and what is left would be folded from a hole.
    fn hole_or(&self, error: LakeError) -> StepError {
        match error {
            LakeError::Expired { .. } => {
                StepError::CannotJudge { partition: self.partition.clone(), reason: error.to_string() }
            }
            other => other.into(),
        }
    }

    async fn newest_state(&self, at_most: Offset) -> Result<Option<(SegmentedFold, Offset)>, StepError> {
        let mut at_most = at_most;
        loop {
            let states = self.doors.lake.load_states(self.partition, at_most, STATES_AT_ONCE).await?;
            let Some(oldest) = states.last().map(|state| state.offset) else { return Ok(None) };
            for state in states {
                if let Some(fold) = self.restored(&state).await? {
                    return Ok(Some((fold, state.offset)));
                }
            }
            let Some(below) = oldest.get().checked_sub(1) else { return Ok(None) };
            at_most = Offset::new(below);
        }
    }

    /// The fold of a state, if it was folded with the recorded pins.
    async fn restored(&self, state: &SavedState) -> Result<Option<SegmentedFold>, StepError> {
        if !self.cuts.led_to(state) {
            return Ok(None);
        }
        let pins = &self.cuts.below(state.offset).pin_set;
        let models = self.doors.models.models_of(&pins.pins).await?;
        SegmentedFold::restore(self.partition, pins, &models, &state.state)
    }
}
