//! Moving average: the average of a device's last readings is an anomaly above a limit, or a reading is one if it lies
//! too far from the average of those before it.
//!
//! `config` says which of the two and how long the window is, `kernel` judges.

mod config;
mod kernel;

pub use config::MovingAverageConfig;
pub use kernel::{MovingAverage, MovingAverageEvidence, MovingAverageState};

#[cfg(test)]
mod tests;
