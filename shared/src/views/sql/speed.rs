//! What speed applies, one transaction each.

use async_trait::async_trait;

use super::{Database, SqlViews, anomalies, dead_letters, devices, outbox, partitions, rollups};
use crate::{
    checkpoint::{Cut, OffsetSpan, OwnerToken},
    position::PartitionId,
    views::{ApplyOutcome, Effects, PartitionState, SpeedViews, ViewsError},
};

#[async_trait]
impl<D: Database> SpeedViews for SqlViews<D> {
    async fn claim(
        &self,
        partition: &PartitionId,
        owner: OwnerToken,
        first: &Cut,
    ) -> Result<PartitionState, ViewsError> {
        let mut session = self.database.write().await?;
        partitions::take(session.as_mut(), partition, owner, first, self.clock.now()).await?;
        let state = partitions::state(session.as_mut(), partition).await?;
        session.commit().await?;
        state.ok_or_else(|| ViewsError::Corrupt {
            reason: format!("partition {partition} vanished while it was claimed"),
        })
    }

    async fn partition(&self, partition: &PartitionId) -> Result<Option<PartitionState>, ViewsError> {
        let mut session = self.database.snapshot().await?;
        partitions::state(session.as_mut(), partition).await
    }

    async fn apply(
        &self,
        partition: &PartitionId,
        owner: OwnerToken,
        span: OffsetSpan,
        effects: &Effects,
    ) -> Result<ApplyOutcome, ViewsError> {
        check_form(span, effects)?;
        let mut session = self.database.write().await?;
        let tx = session.as_mut();
        let last_message = effects.last_message.as_ref();
        let now = self.clock.now();
        if !partitions::advance(tx, partition, owner, span, effects.counts, last_message, now).await? {
            return Ok(match partitions::owner_and_applied(tx, partition).await? {
                Some((Some(current), applied)) if current == owner => {
                    if applied == span.to {
                        ApplyOutcome::AlreadyApplied
                    } else {
                        ApplyOutcome::OutOfStep { applied }
                    }
                }
                _ => ApplyOutcome::NotOwner,
            });
        }
        let Some(tag) = partitions::last_cut_at_or_below(tx, partition, span.from).await? else {
            return Err(ViewsError::Corrupt { reason: format!("{partition} has no cut at or below {}", span.from) });
        };
        rollups::add_deltas(tx, partition, tag, &effects.rollups).await?;
        anomalies::add(tx, &partition.stream, &effects.anomalies).await?;
        anomalies::end(tx, &effects.ended).await?;
        dead_letters::add(tx, &partition.stream, &effects.dead_letters).await?;
        outbox::add(tx, partition, &effects.outbox).await?;
        devices::seen_by_speed(tx, &partition.stream, &effects.devices).await?;
        if let Some(cut) = &effects.cut {
            partitions::record_cut(tx, partition, cut).await?;
        }
        session.commit().await?;
        Ok(ApplyOutcome::Applied)
    }

    async fn release(&self, partition: &PartitionId, owner: OwnerToken) -> Result<(), ViewsError> {
        let mut session = self.database.write().await?;
        partitions::release(session.as_mut(), partition, owner).await?;
        session.commit().await
    }
}

/// Refuses what no member may ask for: it would move A back, or record a cut that nothing was applied up to.
fn check_form(span: OffsetSpan, effects: &Effects) -> Result<(), ViewsError> {
    if span.to < span.from {
        return Err(ViewsError::Refused { reason: format!("{span} ends before it begins") });
    }
    match &effects.cut {
        Some(cut) if cut.offset != span.to => {
            Err(ViewsError::Refused { reason: format!("cut {} is not the end of {span}", cut.offset) })
        }
        _ => Ok(()),
    }
}
