//! Check: do log, lake and views still belong together?

use std::time::Duration;

use kilowatch_shared::{
    checkpoint::{MessageHash, OffsetSpan, SourcePartition},
    cut_line::CutLine,
    lake::LakeTable,
    log::{LogError, ReadLimit},
    position::{Offset, PartitionId},
    views::PartitionState,
};

use super::{
    Doors, PartitionWorker, Step, StopReason,
    verdict::{Findings, GoOn, decide},
    worker::{Checked, Claimed, Phase},
};
use crate::error::StepError;

impl PartitionWorker {
    /// Reads the boundary, then L, and decides. A stop is decided only by a member that, read back after L, still owns
    /// the partition: a fenced one may have seen the new owner's lake.
    ///
    /// # Errors
    /// Of log, lake or views; the partition stays claimed.
    pub async fn check(&mut self) -> Result<Step, StepError> {
        let Phase::Claimed(Claimed { token, state }) = &self.phase else {
            return Err(self.out_of_order("be checked"));
        };
        let (token, applied) = (*token, state.applied);
        let Some(mut cuts) = CutLine::try_recorded(&state.cuts).map_err(|error| self.unreadable_pins(&error))? else {
            return Ok(self.stop(StopReason::LakeNotACut { closed: Offset::ZERO }));
        };
        let verdict = examine(&self.doors, &self.partition, state, &cuts).await?;
        match verdict {
            Err(reason) => {
                let now = self.doors.views.partition(&self.partition).await?;
                if now.and_then(|state| state.owner) != Some(token) {
                    self.phase = Phase::Idle;
                    return Ok(Step::Fenced);
                }
                Ok(self.stop(reason))
            }
            Ok(GoOn { closed, catch_up }) => {
                if let Some(held) = catch_up {
                    let span = OffsetSpan { from: applied, to: held };
                    let from_lake = self.doors.lake.committed_cuts(&self.partition, span).await?;
                    cuts.adopt(&from_lake).map_err(|error| self.unreadable_pins(&error))?;
                }
                self.phase = Phase::Checked(Checked { token, applied, cuts, closed, catch_up });
                Ok(Step::Done)
            }
        }
    }

    fn unreadable_pins(&self, error: &serde_json::Error) -> StepError {
        StepError::CannotJudge {
            partition: self.partition.clone(),
            reason: format!("its pins have no address: {error}"),
        }
    }
}

/// Whether the partition may go on, by what log, lake and views say now: the boundary is read before L.
pub(crate) async fn examine(
    doors: &Doors,
    partition: &PartitionId,
    state: &PartitionState,
    cuts: &CutLine,
) -> Result<Result<GoOn, StopReason>, StepError> {
    let (stream, log_partition) = (&partition.stream, SourcePartition::from(partition));
    let boundary = doors.boundaries.boundary(stream).await?;
    let closed = doors.lake.snapshot(stream, LakeTable::Readings).await?.closed_to(partition);
    let dead_letters_closed = doors.lake.snapshot(stream, LakeTable::DeadLetters).await?.closed_to(partition);
    Ok(decide(&Findings {
        applied: state.applied,
        cuts,
        boundary: boundary.partitions.get(&log_partition).copied(),
        closed,
        dead_letters_closed,
        watermarks: doors.log.watermarks(&log_partition).await?,
        before_applied: compare_before(doors, &log_partition, state).await?,
    }))
}

/// The recorded hash of message A-1 and the one that it has now; `None` if either is not there.
async fn compare_before(
    doors: &Doors,
    partition: &SourcePartition,
    state: &PartitionState,
) -> Result<Option<(MessageHash, MessageHash)>, StepError> {
    let Some(recorded) = &state.last_message else { return Ok(None) };
    let Some(before) = state.applied.get().checked_sub(1).map(Offset::new) else { return Ok(None) };
    let limit = ReadLimit { records: 1, bytes: usize::MAX, before: Some(state.applied) };
    match doors.log.read(partition, before, limit, Duration::ZERO).await {
        Ok(fetched) => Ok(fetched
            .records
            .first()
            .filter(|record| record.offset == before)
            .map(|record| (recorded.clone(), MessageHash::of(record.key.as_deref(), record.payload.as_deref())))),
        Err(LogError::OutOfRange { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
