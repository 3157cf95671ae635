//! Three-sigma: a reading is an anomaly if it lies further from the mean of what is usual than some multiple of the
//! standard deviation. What is usual are the device's last readings, or the same hour of the week in its past, which
//! batch learns (`hour_of_week`).
//!
//! The rolling window holds the readings *before* the judged one. All readings enter it, since a level that stays has to be
//! learned, but what lies far out enters clipped: a spike then does not hide the next one behind a swollen deviation.
//! `config` says what is judged, `kernel` judges.

mod config;
mod hour_of_week;
mod kernel;

pub use config::{Baseline, ThreeSigmaConfig};
pub use hour_of_week::{HourOfWeekModel, HourOfWeekProblem, HourOfWeekTrainer, MIN_WEEKS};
pub use kernel::{ThreeSigma, ThreeSigmaEvidence, ThreeSigmaState};

#[cfg(test)]
mod tests;
