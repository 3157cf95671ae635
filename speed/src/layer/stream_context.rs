//! What the tasks of a stream's partitions share.

use std::sync::Arc;

use kilowatch_shared::{clock::SharedClock, cut_line::PinSet};
use tokio::sync::{Notify, mpsc, watch};

use super::closer::CloseRequest;
use crate::{config::SpeedConfig, member::Doors, status::StatusBoard};

#[derive(Debug, Clone)]
pub(super) struct StreamContext {
    pub(super) doors: Arc<Doors>,
    pub(super) config: Arc<SpeedConfig>,
    pub(super) clock: SharedClock,
    pub(super) board: Arc<StatusBoard>,
    pub(super) pins: watch::Receiver<PinSet>,
    pub(super) closes: mpsc::Sender<CloseRequest>,
    /// Has the closer try at once what it would try again later.
    pub(super) closes_wake: Arc<Notify>,
    /// Wakes the dispatcher of the outbox.
    pub(super) outbox_wake: Arc<Notify>,
}
