//! Detection as a pure fold: per (source, partition, device), over (pins, key, bytes, headers, log timestamp), in
//! offset order. No clock, no network, no device table: the same messages give the same verdicts to the last bit,
//! whatever the micro-batches, segments, restarts and rebalances were.
//!
//! [`fold::PartitionFold`] decodes a record, marks duplicates and asks each [`detector`] of the pins. A detector is a
//! kernel with what is common to all: its name, its warm-up, its model, its `episode`s. A kernel is a [`Kernel`]: config,
//! state and [`Assessment`], no I/O, no log.
//!
//! | kernel | alarms if |
//! |---|---|
//! | [`three_sigma`] | a measure is far from its usual mean, in standard deviations; usual is the device's last readings, or learned |
//! | [`isolation_forest`] | few random cuts set the reading apart; learned |
//! | [`kmeans`] | the reading is far from every centre of the usual ones; learned |
//! | [`threshold`] | comparisons with fixed values hold |
//! | [`moving_average`] | the average of the last readings is above a limit, or a reading far from it |
//!
//! Learned kernels look at [`features`]; rolling ones stand on `rolling_moments`.

mod assessment;
mod clock_lead;
mod config;
pub mod detector;
mod episode;
pub mod features;
pub mod fold;
pub mod isolation_forest;
pub mod kmeans;
pub mod moving_average;
mod quantile;
mod rolling_moments;
pub mod three_sigma;
pub mod threshold;

#[cfg(test)]
mod test_support;

pub use assessment::{Assessment, Kernel, Score};
pub use clock_lead::MAX_CLOCK_LEAD;
pub use config::{DetectorConfig, KernelConfig, detector_problems};
pub use fold::{FoldError, Folded, ModelSet, PartitionFold};

/// Raised whenever a kernel may judge the same readings otherwise.
pub const KERNELS_VERSION: u32 = 1;

/// Longest rolling window in readings: two months of minutes.
pub const MAX_WINDOW_READINGS: u32 = 100_000;

/// Most values that all windows of a stream's detectors together remember of a device: one window of the greatest length, or
/// a hundred of a thousand; 800 kB. A partition knows up to 100,000 devices, so who has many keeps far below.
const MAX_REMEMBERED_VALUES: u64 = MAX_WINDOW_READINGS as u64;

/// Longest window of a training in days: ten years.
const MAX_TRAIN_WINDOW_DAYS: u32 = 3660;

/// What is wrong with the quantile from which a learned detector alarms, if anything.
fn alarm_quantile_problem(quantile: f64) -> Option<String> {
    (!(quantile > 0.8 && quantile < 1.0)).then(|| {
        format!("alarm_quantile = {quantile}: must be over 0.8 and under 1; a model that flags a fifth of all readings never serves")
    })
}

/// What is wrong with the window of a training, if anything.
fn training_window_problem(days: Option<u32>) -> Option<String> {
    let days = days.filter(|days| !(1..=MAX_TRAIN_WINDOW_DAYS).contains(days))?;
    Some(format!("train_window_days = {days}: must be 1 to {MAX_TRAIN_WINDOW_DAYS}, or left out for the whole history"))
}
