//! Back to a cut: what comes after it is judged again.

use kilowatch_shared::{
    position::{Offset, PartitionId},
    views::PositionVerb,
};

use super::{Plan, PositionError, known::Known, moves};
use crate::member::{Doors, StopReason, examine};

/// Plans to go back to `to`, a recorded cut; without it, to the last one that the lake holds. If the lake went back below
/// what batch has published, all partitions of the stream that it concerns go back together, for the boundary is theirs.
///
/// # Errors
/// What keeps the partition where it is.
pub async fn plan_rewind(
    doors: &Doors,
    partition: &PartitionId,
    to: Option<Offset>,
    resend: bool,
) -> Result<Plan, PositionError> {
    let known = Known::read(doors, partition).await?;
    let mut plan = Plan::new(PositionVerb::Rewind);
    match examine(doors, partition, &known.state, &known.cuts).await? {
        Ok(_) | Err(StopReason::LakeNotACut { .. } | StopReason::RetentionPassed { .. }) => {}
        Err(StopReason::LakeBelowBoundary { .. }) => {
            for other in doors.boundaries.known_partitions(&partition.stream).await? {
                if other == *partition {
                    continue;
                }
                let other = Known::read(doors, &other).await?;
                if other.lake_went_back() {
                    moves::back(&mut plan, doors, &other, other.common_cut(), resend).await?;
                }
            }
            plan.forget(&partition.stream);
        }
        Err(reason) => return Err(PositionError::OtherReason { partition: partition.clone(), reason }),
    }
    let to = to.unwrap_or_else(|| known.common_cut());
    if to == known.applied() {
        return Err(PositionError::NothingToRewind { partition: partition.clone(), at: to });
    }
    moves::back(&mut plan, doors, &known, to, resend).await?;
    Ok(plan)
}
