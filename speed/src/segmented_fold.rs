//! The partition's fold over segments: it opens each with the pins of its cut, and runs off the async threads.

use kilowatch_shared::{
    anomaly::Findings,
    checkpoint::PinsId,
    cut_line::{CutLine, PinSet},
    detect::fold::{FoldError, Folded, ModelSet, PartitionFold},
    lake::SavedState,
    log::LogRecord,
    position::{Offset, PartitionId},
    reading::LakeReading,
};

use crate::{error::StepError, model_shelf::ModelShelf};

/// Below so many records the hop to another thread costs more than the fold: one takes 2 to 10 microseconds.
const INLINE_RECORDS: usize = 64;

/// What takes the verdicts on records.
pub(crate) trait Absorb: Send + 'static {
    /// Takes a record and what it became. Called in offset order.
    fn take(&mut self, record: LogRecord, folded: Folded);
}

/// Only the fold's state is wanted.
impl Absorb for () {
    fn take(&mut self, _record: LogRecord, _folded: Folded) {}
}

/// A [`PartitionFold`] that knows which pins it judges with.
#[derive(Debug)]
pub(crate) struct SegmentedFold {
    partition: PartitionId,
    fold: PartitionFold,
    opened: PinsId,
}

impl SegmentedFold {
    /// A fold that has seen nothing.
    pub(crate) fn try_new(partition: &PartitionId, pins: &PinSet, models: &ModelSet) -> Result<Self, StepError> {
        let fold = PartitionFold::try_new(partition.clone(), &pins.pins, models)
            .map_err(|error| cannot_judge(partition, &error))?;
        Ok(Self { partition: partition.clone(), fold, opened: pins.id.clone() })
    }

    /// The fold of a saved state, which was judged with `pins` at its end; `None` if this build cannot read it, for an
    /// older state, or none, will do.
    pub(crate) fn restore(
        partition: &PartitionId,
        pins: &PinSet,
        models: &ModelSet,
        state: &[u8],
    ) -> Result<Option<Self>, StepError> {
        match PartitionFold::restore(partition.clone(), &pins.pins, models, state) {
            Ok(fold) => Ok(Some(Self { partition: partition.clone(), fold, opened: pins.id.clone() })),
            Err(error @ (FoldError::CorruptState(_) | FoldError::UnsupportedState { .. })) => {
                tracing::warn!(%partition, %error, "passed over a saved state");
                Ok(None)
            }
            Err(error) => Err(cannot_judge(partition, &error)),
        }
    }

    /// Judges with these pins from here on; nothing changes if it does already.
    pub(crate) async fn open(&mut self, pins: &PinSet, shelf: &ModelShelf) -> Result<(), StepError> {
        if self.opened != pins.id {
            let models = shelf.models_of(&pins.pins).await?;
            self.open_with(pins, &models)?;
        }
        Ok(())
    }

    /// The same, with models at hand.
    pub(crate) fn open_with(&mut self, pins: &PinSet, models: &ModelSet) -> Result<(), StepError> {
        if self.opened != pins.id {
            self.fold.open_segment(&pins.pins, models).map_err(|error| cannot_judge(&self.partition, &error))?;
            self.opened = pins.id.clone();
        }
        Ok(())
    }

    /// Judges a record of the open segment.
    pub(crate) fn fold(&mut self, record: &LogRecord) -> Folded {
        self.fold.fold(record)
    }

    /// Rebuilds state from rows of the lake, which hold exactly the readings of a span.
    pub(crate) fn replay(&mut self, reading: &LakeReading) -> Findings {
        self.fold.replay(reading)
    }

    /// The state at `at`, which is a cut; `None`, and a warning, if it cannot be written: a restart then replays more of
    /// the log.
    pub(crate) fn save(&self, at: Offset, cuts: &CutLine) -> Option<SavedState> {
        let saved = self
            .fold
            .save()
            .inspect_err(|error| tracing::warn!(partition = %self.partition, %error, "detector state was not saved"));
        Some(SavedState { offset: at, cuts: cuts.pin_changes_below(at), state: saved.ok()? })
    }
}

/// Folds records of one segment into `sink`, on a blocking thread if they are many.
pub(crate) async fn absorb<S: Absorb>(
    fold: SegmentedFold,
    records: Vec<LogRecord>,
    sink: S,
) -> Result<(SegmentedFold, S), StepError> {
    if records.len() < INLINE_RECORDS {
        return Ok(fold_all(fold, records, sink));
    }
    let partition = fold.partition.clone();
    tokio::task::spawn_blocking(move || fold_all(fold, records, sink)).await.map_err(|error| StepError::CannotJudge {
        partition,
        reason: format!("the fold ended without an answer: {error}"),
    })
}

fn fold_all<S: Absorb>(mut fold: SegmentedFold, records: Vec<LogRecord>, mut sink: S) -> (SegmentedFold, S) {
    for record in records {
        let folded = fold.fold(&record);
        sink.take(record, folded);
    }
    (fold, sink)
}

fn cannot_judge(partition: &PartitionId, error: &dyn std::fmt::Display) -> StepError {
    StepError::CannotJudge { partition: partition.clone(), reason: error.to_string() }
}
