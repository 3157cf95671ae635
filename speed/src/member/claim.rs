//! Claim: a fresh token becomes the owner, whoever was it before.

use std::sync::Arc;

use kilowatch_shared::{
    checkpoint::{Cut, OffsetSpan, OwnerToken, cut_at_or_below},
    lake::LakeTable,
    position::Offset,
};

use super::{
    PartitionWorker,
    worker::{Claimed, Phase},
};
use crate::error::StepError;

impl PartitionWorker {
    /// Takes the partition over and reads A and the recorded cuts. What was in memory is dropped first.
    ///
    /// # Errors
    /// Of log, lake or views; then it is unknown whether the token is in, and the next claim brings another one.
    pub async fn claim(&mut self) -> Result<(), StepError> {
        self.phase = Phase::Idle;
        let first = self.first_cut().await?;
        let token = OwnerToken::fresh();
        let state = self.doors.views.claim(&self.partition, token, &first).await?;
        self.phase = Phase::Claimed(Claimed { token, state });
        Ok(())
    }

    /// Where a partition begins that the views do not know: at the first message that is there. If the lake knows it
    /// nevertheless, the views were lost, and the pins are those that the lake's segment was judged with.
    async fn first_cut(&self) -> Result<Cut, StepError> {
        let low = self.doors.log.watermarks(&self.log_partition).await?.low;
        let mut first = Cut { offset: low, pins: Arc::clone(&self.next_pins.pins) };
        if self.doors.views.partition(&self.partition).await?.is_some() {
            return Ok(first);
        }
        let closed = self.doors.lake.snapshot(&self.partition.stream, LakeTable::Readings).await?;
        if closed.closed_to(&self.partition).is_some_and(|closed| closed > low) {
            let span = OffsetSpan { from: Offset::ZERO, to: low.plus(1) };
            let cuts = self.doors.lake.committed_cuts(&self.partition, span).await?;
            if let Some(cut) = cut_at_or_below(&cuts, low) {
                first.pins = Arc::clone(&cut.pins);
            }
        }
        Ok(first)
    }
}
