//! The two moves of a partition: back to a cut, and on behind what is lost.

use std::sync::Arc;

use kilowatch_shared::{
    checkpoint::{Cut, OffsetSpan, Pins},
    position::Offset,
    reading::MessageCounts,
    views::{PositionMove, RecordedMove},
};

use super::{Plan, PositionError, known::Known};
use crate::member::{Doors, Rebuild};

/// Adds the move back to `to`, a cut that views and lake have in common.
pub(super) async fn back(
    plan: &mut Plan,
    doors: &Doors,
    known: &Known,
    to: Offset,
    resend: bool,
) -> Result<(), PositionError> {
    let Known { partition, cuts, closed, low, .. } = known;
    let (from, most) = (known.applied(), known.common_cut());
    if !cuts.contains(to) || to > most {
        let below = cuts.at_or_below(to.min(most)).offset;
        let above = cuts.next_above(below).map_or(most, |cut| cut.min(most));
        return Err(PositionError::NotACut { partition: partition.clone(), to, most, below, above });
    }
    if *low > to && low > closed {
        return Err(PositionError::NotInTheLog { partition: partition.clone(), to, low: *low, closed: *closed });
    }
    let uncounted = known.count(doors, OffsetSpan { from: to, to: from }).await?;
    plan.consequences.push(format!(
        "{partition}: goes back from {from} to {to}; the effects of {} messages leave the views, and the messages are \
         judged again",
        uncounted.total()
    ));
    plan.consequences.push(if resend {
        format!("{partition}: anomalies and dead letters from {to} on are sent to their topics again")
    } else {
        format!(
            "{partition}: the topics of anomalies and dead letters hear only of messages that they have not heard of; \
             --resend sends all from {to} on again"
        )
    });
    if *low > to {
        let again = OffsetSpan { from: to, to: *closed };
        plan.consequences.push(format!(
            "{partition}: the log begins at {low}, so {again} is judged from the lake's rows; dead letters of it stay in \
             the lake, and out of the list"
        ));
        plan.again_from_lake.push((partition.clone(), again));
    }
    plan.moves.push(PositionMove {
        partition: partition.clone(),
        from,
        to,
        undone_from: to,
        cut: None,
        last_message: known.hash_before(doors, to).await?,
        uncounted,
        resend,
        recorded: RecordedMove { from, to, gap: None },
    });
    Ok(())
}

/// Adds the move on to where the log begins, behind what neither log nor lake has. L is a cut at or below A, or above A.
pub(super) async fn on(plan: &mut Plan, doors: &Doors, known: &Known) -> Result<(), PositionError> {
    let Known { partition, cuts, closed, low, .. } = known;
    let applied = known.applied();
    let target = (*low).max(*closed);
    if applied < *closed {
        let lacking = OffsetSpan { from: applied, to: *closed };
        plan.consequences.push(format!(
            "{partition}: the views lack {lacking}, and the log begins at {low}: it is judged from the lake's rows; dead \
             letters of it stay in the lake, and out of the list"
        ));
        plan.from_lake.push((partition.clone(), lacking));
    }
    // What the views have beyond L is lost to the lake, and no replay would find it again.
    let gap = OffsetSpan { from: *closed, to: target };
    let mut change = PositionMove {
        partition: partition.clone(),
        from: applied.max(*closed),
        to: target,
        undone_from: *closed,
        cut: None,
        last_message: None,
        uncounted: MessageCounts::default(),
        resend: false,
        recorded: RecordedMove { from: applied, to: target, gap: None },
    };
    if gap.is_empty() {
        change.last_message = known.hash_before(doors, target).await?;
        plan.moves.push(change);
        return Ok(());
    }
    plan.consequences.push(format!("{partition}: the messages of {gap} are lost; the gap is put on record"));
    if applied > *closed {
        let judged = OffsetSpan { from: *closed, to: applied.min(target) };
        plan.consequences.push(format!(
            "{partition}: sums and anomalies of {judged} leave the views, for no replay of the lake would find them"
        ));
    }
    if applied > target {
        let again = OffsetSpan { from: target, to: applied };
        let fold = Rebuild { doors, partition, cuts }.fold_at(*closed).await?;
        change.uncounted = known.count_in_log(doors, fold, again).await?.1;
        plan.consequences.push(format!(
            "{partition}: messages of {again} are judged again, and nothing more is sent of those that the topics of \
             anomalies and dead letters have heard of"
        ));
    }
    let pins = Pins { gap: Some(gap), ..(*cuts.at_or_below(*closed).pin_set.pins).clone() };
    change.cut = Some(Cut { offset: target, pins: Arc::new(pins) });
    change.recorded.gap = Some(gap);
    plan.moves.push(change);
    plan.gaps.push((partition.clone(), gap));
    Ok(())
}
