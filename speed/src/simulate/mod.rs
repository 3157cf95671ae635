//! Producers: streams as they could be, with anomalies whose truth is known, one folder a profile.
//!
//! A simulator is a function of its seed, its options and the instants that it is asked for; it owns no clock and no
//! socket. What it injects travels beside the payload ([`kilowatch_shared::stream::decode::INJECTED_HEADER`]), so no
//! detector can see it.

pub mod household;

pub use household::{HouseholdOptions, HouseholdSimulator, InjectedAnomaly, SimulatedReading, UciRowCounts};
