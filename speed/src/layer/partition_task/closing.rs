//! The close that runs beside the windows: handed over to the closer, and its outcome taken when it is there.

use tokio::sync::{mpsc, oneshot};

use super::PartitionTask;
use crate::{layer::closer::CloseRequest, member::Step};

impl PartitionTask {
    /// Hands over what the lake does not hold yet, if there is a cut behind it and no close is on its way.
    pub(super) fn begin_close(&mut self, room: mpsc::OwnedPermit<CloseRequest>) {
        if self.closing.is_some() {
            return;
        }
        let Some(part) = self.worker.begin_close() else { return };
        let (reply, outcome) = oneshot::channel();
        self.closing = Some(outcome);
        room.send(CloseRequest { part, reply });
    }

    /// Takes note of how a close ended, if one did.
    pub(super) fn take_close_outcome(&mut self) -> Step {
        let Some(closing) = &mut self.closing else { return Step::Done };
        match closing.try_recv() {
            Ok(outcome) => {
                self.closing = None;
                self.worker.closed(&outcome)
            }
            Err(oneshot::error::TryRecvError::Empty) => Step::Done,
            Err(oneshot::error::TryRecvError::Closed) => {
                self.worker.give_up_memory();
                Step::Reclaim
            }
        }
    }
}
