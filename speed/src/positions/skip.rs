//! On behind messages that the log no longer has. What the lake has of them is judged from there; the rest is a gap, on
//! record.

use kilowatch_shared::{
    position::{Offset, PartitionId},
    views::PositionVerb,
};

use super::{Plan, PositionError, known::Known, moves};
use crate::member::{Doors, StopReason, examine};

/// Plans to go on where the log begins. What is there is never given up, so `to` can be nothing else. If the lake went
/// back below what batch has published as well, the stream's other partitions go with it: back where their logs allow.
///
/// # Errors
/// What keeps the partition where it is.
pub async fn plan_skip(doors: &Doors, partition: &PartitionId, to: Option<Offset>) -> Result<Plan, PositionError> {
    let known = Known::read(doors, partition).await?;
    let target = known.low.max(known.closed);
    match examine(doors, partition, &known.state, &known.cuts).await? {
        Err(StopReason::RetentionPassed { .. } | StopReason::LakeBelowBoundary { .. }) if is_lost(&known) => {}
        Ok(_) => return Err(PositionError::NothingToSkip { partition: partition.clone() }),
        Err(reason) => return Err(PositionError::OtherReason { partition: partition.clone(), reason }),
    }
    if to.is_some_and(|to| to != target) {
        return Err(PositionError::StillThere { partition: partition.clone(), target });
    }
    let mut plan = Plan::new(PositionVerb::Skip);
    if known.lake_went_back() {
        for other in doors.boundaries.known_partitions(&partition.stream).await? {
            if other == *partition {
                continue;
            }
            let other = Known::read(doors, &other).await?;
            if other.lake_went_back() && is_lost(&other) {
                moves::on(&mut plan, doors, &other).await?;
            } else if other.lake_went_back() {
                moves::back(&mut plan, doors, &other, other.common_cut(), false).await?;
            }
        }
        plan.forget(&partition.stream);
    }
    moves::on(&mut plan, doors, &known).await?;
    Ok(plan)
}

/// Whether the log lacks what is needed, and it is known up to which cut the lake has it.
fn is_lost(known: &Known) -> bool {
    let needed = known.closed.min(known.applied());
    known.low > needed && (known.closed > known.applied() || known.cuts.contains(known.closed))
}
