//! Producers: streams as they could be, with anomalies whose truth is known, one folder a profile.
//!
//! A [`Simulator`] is a function of its seed, its options and the instants that it is asked for; it owns no clock and no
//! socket. What it injects travels beside the payload ([`kilowatch_shared::stream::decode::INJECTED_HEADER`]), so no
//! detector can see it, and [`quality`] says how much of it they found. [`catalog`] says which streams can be simulated,
//! at which pace and with how much history.
//!
//! What the folders share: `injector` draws the episodes, `noise` and `steps` carry a device from one reading to the
//! next, `record` makes the message, `fleet` lets several devices take turns, and [`csv`] writes them as a file.
//! [`quality`] counts how much of it detectors find, and [`trial`] lets those of a profile learn and judge.

mod campus;
pub mod catalog;
pub mod csv;
mod fleet;
mod grid;
pub mod household;
mod injector;
mod noise;
mod power_plant;
pub mod quality;
mod record;
mod sensor;
mod steps;
pub mod trial;

use std::fmt;

use chrono::{DateTime, Utc};
use kilowatch_shared::log::NewRecord;

pub use catalog::{SimulatedStream, SimulationOptions};
pub use household::{HouseholdOptions, HouseholdSimulator, InjectedAnomaly, SimulatedReading, UciRowCounts};
pub use injector::Injection;

/// A stream's producer.
pub trait Simulator: fmt::Debug + Send {
    /// How many devices take turns.
    fn devices(&self) -> usize;

    /// The message of the device whose turn it is. Instants never go back. `None` if there is no device.
    ///
    /// # Errors
    /// None of the simulated values can fail; the error is serde's.
    fn next_record(&mut self, at: DateTime<Utc>) -> Result<Option<NewRecord>, serde_json::Error>;
}

#[cfg(test)]
mod tests;
