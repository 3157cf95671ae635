//! The views apply what the lake holds and the log has no more, as a member would have done from the log.

use kilowatch_shared::{
    checkpoint::{Cut, OffsetSpan, OwnerToken},
    position::{Offset, PartitionId},
    views::ApplyOutcome,
};

use super::{PositionError, known::Known};
use crate::{
    member::{Doors, Rebuild},
    open_batch::OpenBatch,
    segmented_fold::SegmentedFold,
};

/// Offsets that are applied in one transaction.
const OFFSETS_AT_ONCE: u64 = 50_000;

/// Applies `span`, which begins at A and ends at L, with the pins of the lake's commits. Nothing is sent: whoever wrote
/// these rows did so.
pub(super) async fn apply(doors: &Doors, partition: &PartitionId, span: OffsetSpan) -> Result<(), PositionError> {
    let mut known = Known::read(doors, partition).await?;
    let from_lake = doors.lake.committed_cuts(partition, span).await?;
    known.cuts.adopt(&from_lake).map_err(|error| crate::error::StepError::CannotJudge {
        partition: partition.clone(),
        reason: format!("its pins have no address: {error}"),
    })?;
    let fold = Rebuild { doors, partition, cuts: &known.cuts }.fold_at(span.from).await?;
    let owner = OwnerToken::fresh();
    let first = known.cuts.at_or_below(known.cuts.start()).to_cut();
    let state = doors.views.claim(partition, owner, &first).await?;
    if state.applied != span.from {
        return Err(PositionError::Elsewhere { partition: partition.clone() });
    }
    let applied = FromLake { doors, known: &known, owner }.run(fold, span).await;
    doors.views.release(partition, owner).await?;
    applied
}

struct FromLake<'a> {
    doors: &'a Doors,
    known: &'a Known,
    owner: OwnerToken,
}

impl FromLake<'_> {
    async fn run(&self, mut fold: SegmentedFold, span: OffsetSpan) -> Result<(), PositionError> {
        let mut at = span.from;
        while at < span.to {
            let cut = self.known.cuts.next_above(at).unwrap_or(span.to);
            let to = span.to.min(cut).min(at.plus(OFFSETS_AT_ONCE));
            self.step(&mut fold, OffsetSpan { from: at, to }, span.to).await?;
            at = to;
        }
        Ok(())
    }

    async fn step(&self, fold: &mut SegmentedFold, span: OffsetSpan, end: Offset) -> Result<(), PositionError> {
        let Known { partition, cuts, .. } = self.known;
        let pin_set = &cuts.at_or_below(span.from).pin_set;
        fold.open(pin_set, &self.doors.models).await?;
        let mut batch = OpenBatch::new(span.from, pin_set.pins.clone());
        for reading in self.doors.lake.read_readings(&pin_set.pins.profile, partition, span).await? {
            let findings = fold.replay(&reading);
            batch.take_again(reading, findings);
        }
        batch.reach(span.to);
        let mut effects = batch.seal().effects;
        effects.last_message = self.known.hash_before(self.doors, span.to).await?;
        effects.cut = match cuts.at(span.to) {
            Some(known) => Some(known.to_cut()),
            // What the lake holds ends at a cut, even if its commits forgot it.
            None if span.to == end => Some(Cut { offset: end, pins: pin_set.pins.clone() }),
            None => None,
        };
        match self.doors.views.apply(partition, self.owner, span, &effects).await? {
            ApplyOutcome::Applied | ApplyOutcome::AlreadyApplied => Ok(()),
            ApplyOutcome::NotOwner | ApplyOutcome::OutOfStep { .. } => {
                Err(PositionError::Elsewhere { partition: partition.clone() })
            }
        }
    }
}
