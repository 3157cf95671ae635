//! Does what was planned: the views first, then the lake. A crash between the two leaves the partition stopped as it was,
//! or as it would be without the first half, and the same verb finishes the work.

use kilowatch_shared::{
    checkpoint::OffsetSpan,
    lake::{CommitOutcome, LakeTable, Segment},
    position::PartitionId,
    reading::ReadingColumns,
    retry::Backoff,
    views::{Audit, MoveOutcome, OWNER_GONE_AFTER, PositionViews},
};

use super::{Adopted, Plan, PositionError, from_lake, known::Known};
use crate::{
    error::StepError,
    member::{Doors, Rebuild},
    segmented_fold::SegmentedFold,
};

/// Carries a plan out.
///
/// # Errors
/// [`PositionError::LiveOwner`] or [`PositionError::Elsewhere`], and then nothing moved; or those of the stores.
pub async fn carry_out(
    doors: &Doors,
    positions: &dyn PositionViews,
    plan: &Plan,
    audit: &Audit,
) -> Result<(), PositionError> {
    for (partition, span) in &plan.from_lake {
        refuse_a_live_owner(positions, partition, audit).await?;
        from_lake::apply(doors, partition, *span).await?;
    }
    let mut folds = Vec::new();
    for (partition, gap) in &plan.gaps {
        let Known { cuts, .. } = Known::read(doors, partition).await?;
        // What the lake holds is what a replay folds; it goes on behind the gap.
        folds.push(Rebuild { doors, partition, cuts: &cuts }.fold_at(gap.from).await?);
    }
    let outcome = match &plan.adopted {
        Some(Adopted { topic, generation, replaced }) => {
            positions.adopt_topic(topic, *generation, replaced, audit).await?
        }
        None => positions.move_positions(plan.verb, &plan.moves, plan.forget_published.as_ref(), audit).await?,
    };
    match outcome {
        MoveOutcome::Moved => {}
        MoveOutcome::LiveOwner { partition, seen_at } => return Err(PositionError::LiveOwner { partition, seen_at }),
        MoveOutcome::Elsewhere { partition } => return Err(PositionError::Elsewhere { partition }),
    }
    for (partition, span) in &plan.again_from_lake {
        from_lake::apply(doors, partition, *span).await?;
    }
    for ((partition, gap), fold) in plan.gaps.iter().zip(folds) {
        close_gap(doors, partition, *gap, &fold).await?;
    }
    Ok(())
}

async fn refuse_a_live_owner(
    positions: &dyn PositionViews,
    partition: &PartitionId,
    audit: &Audit,
) -> Result<(), PositionError> {
    match positions.owner_seen_at(partition).await? {
        Some(seen_at) if audit.at - seen_at < OWNER_GONE_AFTER => {
            Err(PositionError::LiveOwner { partition: partition.clone(), seen_at })
        }
        _ => Ok(()),
    }
}

/// Tells the lake that it holds everything below the gap's end, and leaves the detectors' state there.
async fn close_gap(
    doors: &Doors,
    partition: &PartitionId,
    gap: OffsetSpan,
    fold: &SegmentedFold,
) -> Result<(), PositionError> {
    let Known { cuts, .. } = Known::read(doors, partition).await?;
    if let Some(state) = fold.save(gap.to, &cuts) {
        doors.lake.save_state(partition, &state).await?;
    }
    let profile = &cuts.at_or_below(gap.from).pin_set.pins.profile;
    let append = || async {
        loop {
            let base = doors.lake.snapshot(&partition.stream, LakeTable::Readings).await?;
            let from = base.closed_to(partition).unwrap_or_else(|| cuts.start());
            if from >= gap.to {
                return Ok(());
            }
            let span = OffsetSpan { from, to: gap.to };
            let segment = Segment {
                partition: partition.clone(),
                span,
                rows: ReadingColumns::default(),
                cuts: cuts.within(span),
            };
            if let CommitOutcome::Committed(_) = doors.lake.append_readings(profile, &base, &[segment]).await? {
                return Ok(());
            }
        }
    };
    Ok(Backoff::standard().run(append, StepError::retry_hint).await?)
}
