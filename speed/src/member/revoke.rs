//! Revoke: stop, drop what is not applied, record a cut, release; never wait for the lake.

use kilowatch_shared::checkpoint::OwnerToken;

use super::{CutWish, PartitionWorker, Step, worker::Phase};
use crate::error::StepError;

impl PartitionWorker {
    /// Lets the partition go, so that the next owner finds a cut at A. Whatever fails, nothing stays in memory.
    ///
    /// # Errors
    /// Of the views; the next claim takes the partition over all the same.
    pub async fn revoke(&mut self) -> Result<Step, StepError> {
        let ended = self.last_cut().await;
        let token = self.token();
        self.phase = Phase::Idle;
        let step = ended?;
        if let Some(token) = token {
            self.doors.views.release(&self.partition, token).await?;
        }
        Ok(step)
    }

    /// The assignment was lost: somebody else may own the partition by now, so nothing is written.
    pub fn abandon(&mut self) {
        self.phase = Phase::Idle;
    }

    /// Lets a stopped partition go, so that an operator may move it while the members run. It may be claimed again.
    ///
    /// # Errors
    /// Of the views; the partition then is nobody's in a minute.
    pub async fn step_aside(&mut self) -> Result<(), StepError> {
        let token = self.token();
        self.phase = Phase::Idle;
        if let Some(token) = token {
            self.doors.views.release(&self.partition, token).await?;
        }
        Ok(())
    }

    async fn last_cut(&mut self) -> Result<Step, StepError> {
        let Phase::Running(running) = &mut self.phase else { return Ok(Step::Done) };
        if running.unanswered.is_none() {
            running.batch = None;
            running.fold = None;
        }
        let (step, _) = self.apply(CutWish::Cut).await?;
        if step == Step::Done && self.may_cut() {
            return Ok(self.apply(CutWish::Cut).await?.0);
        }
        Ok(step)
    }

    pub(super) const fn token(&self) -> Option<OwnerToken> {
        match &self.phase {
            Phase::Claimed(claimed) => Some(claimed.token),
            Phase::Checked(checked) => Some(checked.token),
            Phase::Running(running) => Some(running.token),
            Phase::Stopped(stopped) => stopped.token,
            Phase::Idle => None,
        }
    }
}
