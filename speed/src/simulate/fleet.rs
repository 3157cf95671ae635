//! Several devices that take turns.

use std::fmt;

use chrono::{DateTime, Utc};
use kilowatch_shared::log::NewRecord;

use super::Simulator;

/// One simulated device.
pub(super) trait Device: fmt::Debug + Send {
    /// The message of the instant, which is not before the last one.
    fn next_record(&mut self, at: DateTime<Utc>) -> Result<NewRecord, serde_json::Error>;
}

/// The devices of a stream, each of which sends once in a round.
#[derive(Debug)]
pub(super) struct Fleet<D> {
    devices: Vec<D>,
    turn: usize,
}

impl<D: Device> Fleet<D> {
    pub(super) const fn new(devices: Vec<D>) -> Self {
        Self { devices, turn: 0 }
    }
}

impl<D: Device> Simulator for Fleet<D> {
    fn devices(&self) -> usize {
        self.devices.len()
    }

    fn next_record(&mut self, at: DateTime<Utc>) -> Result<Option<NewRecord>, serde_json::Error> {
        let turn = self.turn;
        self.turn = (turn + 1) % self.devices.len().max(1);
        self.devices.get_mut(turn).map(|device| device.next_record(at)).transpose()
    }
}
