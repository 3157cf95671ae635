//! Detectors that forget a device at L, as if they had never seen it.

use std::sync::Arc;

use kilowatch_shared::{
    checkpoint::{Cut, OffsetSpan, Pins, PinsId},
    detect::fold::{FoldError, ModelSet, PartitionFold},
    lake::{SavedState, SegmentLake},
    position::{DeviceId, Offset, PartitionId},
};

use crate::{BatchDeps, BatchError};

/// Offsets that are read from the lake at once, some 50 MB of readings.
const OFFSETS_AT_ONCE: u64 = 100_000;

/// Saved states that are looked at; the newest one nearly always counts.
const STATES: usize = 8;

/// Takes the device out of all saved states of a partition, and saves the one at L if there is none: a member that begins
/// there reads no older message of the device from the log. Tells how many states changed.
pub(crate) async fn forget_at(
    deps: &BatchDeps,
    partition: &PartitionId,
    closed: Offset,
    device: &DeviceId,
) -> Result<u64, BatchError> {
    let changed = deps.lake.forget_in_states(partition, device).await?;
    let cuts = deps.views.cuts(partition).await?;
    let Some(first) = cuts.first().filter(|first| first.offset < closed) else { return Ok(changed) };
    let newest = newest_state(deps, partition, &cuts, closed).await?;
    if newest.as_ref().is_some_and(|state| state.offset == closed) {
        return Ok(changed);
    }
    let (mut fold, mut at) = match &newest {
        Some(state) => (restored(deps, partition, &cuts, state).await?, state.offset),
        None => {
            let models = models_of(deps, &first.pins).await?;
            let fold = PartitionFold::try_new(partition.clone(), &first.pins, &models);
            (fold.map_err(|error| cannot_replay(partition, &error))?, first.offset)
        }
    };
    while at < closed {
        let cut = segment_of(&cuts, at).unwrap_or(first);
        if *fold.pins() != *cut.pins {
            let models = models_of(deps, &cut.pins).await?;
            fold.open_segment(&cut.pins, &models).map_err(|error| cannot_replay(partition, &error))?;
        }
        let next_cut = cuts.iter().map(|cut| cut.offset).find(|offset| *offset > at).unwrap_or(closed);
        let to = next_cut.min(closed).min(at.plus(OFFSETS_AT_ONCE));
        for row in deps.lake.read_readings(&cut.pins.profile, partition, OffsetSpan { from: at, to }).await? {
            fold.replay(&row);
        }
        at = to;
    }
    let state = fold.save().map_err(|error| cannot_replay(partition, &error))?;
    let saved = SavedState { offset: closed, cuts: pin_changes_below(&cuts, closed)?, state };
    deps.lake.save_state(partition, &saved).await?;
    Ok(changed + 1)
}

/// The newest state at or below an offset that was folded with the recorded pins.
pub(crate) async fn newest_state(
    deps: &BatchDeps,
    partition: &PartitionId,
    cuts: &[Cut],
    at_most: Offset,
) -> Result<Option<SavedState>, BatchError> {
    for state in deps.lake.load_states(partition, at_most, STATES).await? {
        if state.cuts == pin_changes_below(cuts, state.offset)? {
            return Ok(Some(state));
        }
    }
    Ok(None)
}

/// The fold of a saved state, which stands before the cut at its offset.
pub(crate) async fn restored(
    deps: &BatchDeps,
    partition: &PartitionId,
    cuts: &[Cut],
    state: &SavedState,
) -> Result<PartitionFold, BatchError> {
    let cut = segment_of(cuts, below(state.offset)).or(cuts.first());
    let Some(Cut { pins, .. }) = cut else {
        let reason = "no cut was ever recorded".to_owned();
        return Err(BatchError::CannotReplay { partition: partition.clone(), reason });
    };
    let models = models_of(deps, pins).await?;
    let fold = PartitionFold::restore(partition.clone(), pins, &models, &state.state);
    fold.map_err(|error| cannot_replay(partition, &error))
}

/// The cut whose segment holds the offset.
fn segment_of(cuts: &[Cut], offset: Offset) -> Option<&Cut> {
    cuts.iter().rev().find(|cut| cut.offset <= offset)
}

fn below(offset: Offset) -> Offset {
    Offset::new(offset.get().saturating_sub(1))
}

/// Where the pins changed below an offset, the first cut included: what a member compares a saved state with.
fn pin_changes_below(cuts: &[Cut], offset: Offset) -> Result<Vec<(Offset, PinsId)>, BatchError> {
    let mut changes: Vec<(Offset, PinsId)> = Vec::new();
    let mut last: Option<&Cut> = None;
    for cut in cuts.iter().take_while(|cut| cut.offset < offset) {
        // Pins rarely change, and addressing them means to print the whole profile.
        if last.is_none_or(|last| !Arc::ptr_eq(&last.pins, &cut.pins) && last.pins != cut.pins) {
            let id = cut.pins.id().map_err(|error| BatchError::Internal { job: "erase", reason: error.to_string() })?;
            changes.push((cut.offset, id));
        }
        last = Some(cut);
    }
    Ok(changes)
}

async fn models_of(deps: &BatchDeps, pins: &Pins) -> Result<ModelSet, BatchError> {
    let mut models = ModelSet::default();
    for id in pins.models.values() {
        models.insert(id.clone(), deps.lake.load_model(id).await?);
    }
    Ok(models)
}

fn cannot_replay(partition: &PartitionId, error: &FoldError) -> BatchError {
    BatchError::CannotReplay { partition: partition.clone(), reason: error.to_string() }
}
