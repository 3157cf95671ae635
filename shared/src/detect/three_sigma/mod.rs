//! Three-sigma: a reading is an anomaly if it lies further from the mean of the device's last readings than some
//! multiple of their standard deviation.
//!
//! The window holds the readings *before* the judged one. All readings enter it, since a level that stays has to be
//! learned, but what lies far out enters clipped: a spike then does not hide the next one behind a swollen deviation.
//! `config` says what is judged, `kernel` judges.

mod config;
mod kernel;

pub use config::{Baseline, ThreeSigmaConfig};
pub use kernel::{ThreeSigma, ThreeSigmaEvidence, ThreeSigmaState};

#[cfg(test)]
mod tests;
