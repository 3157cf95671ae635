//! Three-sigma: a reading is an anomaly if it lies further from the mean of the device's last readings than some
//! multiple of their standard deviation.
//!
//! The window holds the readings *before* the judged one. What lies beyond the limits enters the window clipped to
//! the limit: one spike then neither hides the next one behind a swollen deviation nor lasts, and a level that stays
//! is learned within some readings. `config` says what is judged, `moments` keeps mean and deviation, `kernel` judges.

mod config;
mod kernel;
mod moments;

pub use config::ThreeSigmaConfig;
pub use kernel::{ThreeSigma, ThreeSigmaState};
