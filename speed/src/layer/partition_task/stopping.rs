//! The end of a partition's task: with the process, or because another member is given the partition.

use super::PartitionTask;
use crate::{
    error::StepError,
    member::{CutWish, PhaseName},
};

impl PartitionTask {
    /// Another member waits for the release, so nothing is closed here: the next owner finds a cut and closes up to it.
    pub(super) async fn let_go(&mut self) {
        if let Err(error) = self.worker.revoke().await {
            tracing::warn!(partition = %self.worker.partition(), %error, "a partition was not released, the next owner takes it over");
        }
    }

    /// Apply what was gathered and cut; close as far as the lake allows; release. Three quarters of the deadline are
    /// for the closes, so that a lake that is away, or takes nothing, does not keep the partition from being released.
    pub(super) async fn stop_in_order(&mut self) {
        if self.worker.phase() == PhaseName::Running {
            let patience = self.context.config.stop_deadline() / 4 * 3;
            let closed = tokio::time::timeout(patience, self.close_everything()).await;
            let (partition, cuts) = (self.worker.partition(), self.worker.unclosed_cuts());
            match closed {
                Ok(Ok(())) if self.worker.phase() == PhaseName::Running => {}
                Ok(Ok(())) => {
                    tracing::warn!(%partition, "a stop left what did not go to the lake for the next owner to close");
                }
                Ok(Err(error)) => tracing::warn!(%partition, %error, "a stop left its last batch for a replay"),
                Err(_elapsed) => match self.context.board.close_error(partition) {
                    Some(error) => {
                        tracing::warn!(%partition, cuts, %error, "a stop left cuts that the lake does not take for the next owner to close");
                    }
                    None => tracing::warn!(%partition, cuts, "a stop left cuts for the next owner to close"),
                },
            }
            // How far the lake is, before it is forgotten.
            self.show(None);
        }
        self.let_go().await;
        self.show(None);
    }

    async fn close_everything(&mut self) -> Result<(), StepError> {
        while self.worker.phase() == PhaseName::Running
            && (self.worker.owes_apply() || self.worker.gathered() > 0 || self.worker.may_cut())
        {
            self.worker.wish_state();
            if let Some(report) = self.worker.apply(CutWish::Cut).await?.1 {
                self.applied(&report);
            }
        }
        // A close that failed is tried now, not when its pause is over.
        self.context.closes_wake.notify_one();
        while self.worker.phase() == PhaseName::Running {
            let Ok(room) = self.context.closes.clone().reserve_owned().await else { break };
            self.begin_close(room);
            let Some(closing) = &mut self.closing else { break };
            let Ok(outcome) = closing.await else { break };
            self.closing = None;
            self.worker.closed(&outcome);
        }
        Ok(())
    }
}
