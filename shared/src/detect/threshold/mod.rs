//! Threshold: a reading is an anomaly if any, or all, of some comparisons hold. The score is 1 or 0.
//!
//! `config` is the rule as a user writes it, `kernel` compares.

mod config;
mod kernel;

pub use config::{Comparison, Operator, ThresholdConfig};
pub use kernel::{Threshold, ThresholdEvidence};

#[cfg(test)]
mod tests;
