//! A household's meter, calibrated on the UCI household.
//!
//! `calibration` holds the historical statistics, `appliance` makes loads that follow them, `meter` turns
//! loads into what a meter shows (power, voltage and current that fit together), `anomaly` injects what should be
//! found, `gaps` what is missing. [`HouseholdSimulator`] asks them in turn; `record` and `uci` write the result as
//! messages and as a UCI file.

mod anomaly;
mod appliance;
mod calibration;
mod gaps;
mod meter;
mod record;
mod simulator;
mod uci;

pub(in crate::simulate) use anomaly::EFFECTS;
pub use anomaly::InjectedAnomaly;
pub use meter::HouseholdMeasures;
pub use record::{to_json, to_record};
pub use simulator::{HouseholdOptions, HouseholdSimulator, SimulatedReading};
pub use uci::{UciRowCounts, write_uci};

#[cfg(test)]
mod tests;
