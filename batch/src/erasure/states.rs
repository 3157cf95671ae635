//! Detectors that forget a device at L, as if they had never seen it.

use kilowatch_shared::{
    checkpoint::OffsetSpan,
    detect::fold::PartitionFold,
    lake::{SavedState, SegmentLake},
    position::{DeviceId, Offset, PartitionId},
};

use crate::{
    BatchDeps, BatchError,
    saved_states::{cannot_replay, models_of, newest_state, recorded_cuts, restored},
};

/// Offsets that are read from the lake at once, some 50 MB of readings.
const OFFSETS_AT_ONCE: u64 = 100_000;

/// Takes the device out of all saved states of a partition, and saves the one at L if there is none: a member that begins
/// there reads no older message of the device from the log. Tells how many states changed.
pub(crate) async fn forget_at(
    deps: &BatchDeps,
    partition: &PartitionId,
    closed: Offset,
    device: &DeviceId,
) -> Result<u64, BatchError> {
    let changed = deps.lake.forget_in_states(partition, device).await?;
    let cuts = recorded_cuts(deps, partition, "erase").await?;
    let Some(cuts) = cuts.filter(|cuts| cuts.start() < closed) else { return Ok(changed) };
    let newest = newest_state(deps, partition, &cuts, closed).await?;
    let (mut fold, mut at) = match &newest {
        Some(state) if state.offset == closed => return Ok(changed),
        Some(state) => (restored(deps, partition, &cuts, state).await?, state.offset),
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
