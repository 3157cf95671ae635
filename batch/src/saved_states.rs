//! Detector states that were saved at cuts, and the folds that go on from them.

use kilowatch_shared::{
    checkpoint::Pins,
    cut_line::CutLine,
    detect::fold::{FoldError, ModelSet, PartitionFold},
    lake::{SavedState, SegmentLake as _},
    position::{Offset, PartitionId},
};

use crate::{BatchDeps, BatchError};

/// Saved states that are read at once; the newest one nearly always counts.
const STATES: usize = 8;

/// The cuts that the views recorded of a partition; `None` before the first one.
pub(crate) async fn recorded_cuts(
    deps: &BatchDeps,
    partition: &PartitionId,
    job: &'static str,
) -> Result<Option<CutLine>, BatchError> {
    let cuts = CutLine::try_recorded(&deps.views.cuts(partition).await?);
    cuts.map_err(|error| BatchError::Internal { job, reason: error.to_string() })
}

/// The newest state at or below an offset that was folded with the recorded pins.
pub(crate) async fn newest_state(
    deps: &BatchDeps,
    partition: &PartitionId,
    cuts: &CutLine,
    at_most: Offset,
) -> Result<Option<SavedState>, BatchError> {
    let states = deps.lake.load_states(partition, at_most, STATES).await?;
    Ok(states.into_iter().find(|state| cuts.led_to(state)))
}

/// The offset of the smallest such state above another offset, where `newest` is one of them.
pub(crate) async fn smallest_state_above(
    deps: &BatchDeps,
    partition: &PartitionId,
    cuts: &CutLine,
    (above, newest): (Offset, Offset),
) -> Result<Offset, BatchError> {
    let (mut smallest, mut at_most) = (newest, newest);
    loop {
        let states = deps.lake.load_states(partition, at_most, STATES).await?;
        let Some(last) = states.last().map(|state| state.offset) else { return Ok(smallest) };
        let counting = states.iter().filter(|state| state.offset > above && cuts.led_to(state));
        smallest = counting.map(|state| state.offset).min().unwrap_or(smallest);
        match last.get().checked_sub(1) {
            Some(below) if last > above => at_most = Offset::new(below),
            _ => return Ok(smallest),
        }
    }
}

/// The fold of a saved state, which stands before the cut at its offset.
pub(crate) async fn restored(
    deps: &BatchDeps,
    partition: &PartitionId,
    cuts: &CutLine,
    state: &SavedState,
) -> Result<PartitionFold, BatchError> {
    let pins = &cuts.below(state.offset).pin_set.pins;
    let models = models_of(deps, pins).await?;
    let fold = PartitionFold::restore(partition.clone(), pins, &models, &state.state);
    fold.map_err(|error| cannot_replay(partition, &error))
}

/// The models that pins name.
pub(crate) async fn models_of(deps: &BatchDeps, pins: &Pins) -> Result<ModelSet, BatchError> {
    let mut models = ModelSet::default();
    for id in pins.models.values() {
        models.insert(id.clone(), deps.lake.load_model(id).await?);
    }
    Ok(models)
}

/// This build does not run what the pins say.
pub(crate) fn cannot_replay(partition: &PartitionId, error: &FoldError) -> BatchError {
    BatchError::CannotReplay { partition: partition.clone(), reason: error.to_string() }
}
