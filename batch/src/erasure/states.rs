//! Detectors that forget a device at L, as if they had never seen it.

use kilowatch_shared::{
    checkpoint::{OffsetSpan, Pins},
    cut_line::CutLine,
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
    let cuts = CutLine::try_recorded(&deps.views.cuts(partition).await?)
        .map_err(|error| BatchError::Internal { job: "erase", reason: error.to_string() })?;
    let Some(cuts) = cuts.filter(|cuts| cuts.start() < closed) else { return Ok(changed) };
    let newest = newest_state(deps, partition, &cuts, closed).await?;
    let (mut fold, mut at) = match &newest {
        Some(state) if state.offset == closed => return Ok(changed),
        Some(state) => {
            let pins = &cuts.below(state.offset).pin_set.pins;
            let models = models_of(deps, pins).await?;
            let fold = PartitionFold::restore(partition.clone(), pins, &models, &state.state);
            (fold.map_err(|error| cannot_replay(partition, &error))?, state.offset)
        }
        None => {
            let pins = &cuts.at_or_below(cuts.start()).pin_set.pins;
            let models = models_of(deps, pins).await?;
            let fold = PartitionFold::try_new(partition.clone(), pins, &models);
            (fold.map_err(|error| cannot_replay(partition, &error))?, cuts.start())
        }
    };
    while at < closed {
        let pins = &cuts.at_or_below(at).pin_set.pins;
        if *fold.pins() != **pins {
            let models = models_of(deps, pins).await?;
            fold.open_segment(pins, &models).map_err(|error| cannot_replay(partition, &error))?;
        }
        let segment_end = cuts.next_above(at).map_or(closed, |next| next.min(closed));
        let to = segment_end.min(at.plus(OFFSETS_AT_ONCE));
        for row in deps.lake.read_readings(&pins.profile, partition, OffsetSpan { from: at, to }).await? {
            fold.replay(&row);
        }
        at = to;
    }
    let state = fold.save().map_err(|error| cannot_replay(partition, &error))?;
    let saved = SavedState { offset: closed, cuts: cuts.pin_changes_below(closed), state };
    deps.lake.save_state(partition, &saved).await?;
    Ok(changed + 1)
}

/// The newest state at or below L that was folded with the recorded pins.
async fn newest_state(
    deps: &BatchDeps,
    partition: &PartitionId,
    cuts: &CutLine,
    closed: Offset,
) -> Result<Option<SavedState>, BatchError> {
    let states = deps.lake.load_states(partition, closed, STATES).await?;
    Ok(states.into_iter().find(|state| cuts.led_to(state)))
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
