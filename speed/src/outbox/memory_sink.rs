//! The sink in memory: the twin that other tests lean on, with a switch to be away.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kilowatch_shared::outbox::OutboxEntry;

use super::{Sink, SinkError};

/// Keeps what it was given, in order, repeats included.
#[derive(Debug, Default)]
pub struct MemorySink {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<OutboxEntry>,
    outage: Option<String>,
    lost_answers: usize,
}

impl MemorySink {
    /// What was delivered.
    #[must_use]
    pub fn entries(&self) -> Vec<OutboxEntry> {
        self.state().entries.clone()
    }

    /// Control: from now on every delivery fails, until [`Self::recover`].
    pub fn fail(&self, reason: &str) {
        self.state().outage = Some(reason.to_owned());
    }

    /// Control: ends the outage.
    pub fn recover(&self) {
        self.state().outage = None;
    }

    /// Control: takes the next `count` deliveries and says that they failed, as a lost answer does.
    pub fn lose_answers(&self, count: usize) {
        self.state().lost_answers = count;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn deliver(&self, entries: &[OutboxEntry]) -> Result<(), SinkError> {
        let mut state = self.state();
        if let Some(reason) = &state.outage {
            return Err(SinkError::Unavailable { reason: reason.clone() });
        }
        state.entries.extend_from_slice(entries);
        if let Some(left) = state.lost_answers.checked_sub(1) {
            state.lost_answers = left;
            return Err(SinkError::Unavailable { reason: "the answer was lost".to_owned() });
        }
        Ok(())
    }
}
