//! A topic that was deleted and made again is another source: its offsets mean other messages.

use kilowatch_shared::{position::PartitionId, views::PositionVerb};

use super::{Adopted, Plan, PositionError, known::Known};
use crate::member::{Doors, StopReason, examine};

/// Plans to read the topic of a partition as its next generation, from the first message on.
///
/// # Errors
/// What keeps the topic what it is; above all that it is the one that was read.
pub async fn plan_adopt(doors: &Doors, partition: &PartitionId) -> Result<Plan, PositionError> {
    let source = partition.source.as_str();
    let (topic, generation) = source
        .strip_prefix("kafka:")
        .and_then(|rest| rest.rsplit_once('#'))
        .and_then(|(topic, generation)| Some((topic.to_owned(), generation.parse::<u32>().ok()?)))
        .ok_or(PositionError::NotKafka)?;
    let generation = generation.saturating_add(1);
    let known = doors.boundaries.known_partitions(&partition.stream).await?;
    let replaced: Vec<PartitionId> = known.into_iter().filter(|known| known.source == partition.source).collect();
    let mut plan = Plan::new(PositionVerb::Adopt);
    let mut is_another = false;
    for old in &replaced {
        let known = Known::read(doors, old).await?;
        let verdict = examine(doors, old, &known.state, &known.cuts).await?;
        is_another |= matches!(verdict, Err(StopReason::LogTooShort { .. } | StopReason::OtherMessage { .. }));
        if known.closed < known.applied() {
            plan.consequences.push(format!(
                "{old}: messages of [{}, {}) stay in the views, but can no longer get into the lake",
                known.closed,
                known.applied()
            ));
        }
    }
    if !is_another {
        return Err(PositionError::SameTopic { topic });
    }
    plan.consequences.push(format!(
        "{topic} is read as generation {generation}, from its first message on; start the members and servers again, \
         they learn it then"
    ));
    plan.adopted = Some(Adopted { topic, generation, replaced });
    Ok(plan)
}
