//! Learning from rows, free of I/O: the same rows, parameters and seed give the same model, to the last bit.
//!
//! [`crate::features`] -[`split`]-> past and future; a [`forest`] grows on the past (`grown` takes smartcore's trees
//! over) and is judged on the future beside simple methods ([`metrics`], [`evaluation`]). [`estimate`] and [`forecast`]
//! do so for their model; the forecast's intervals are [`conformal`]. [`sample`] draws rows where there are more than
//! are needed.

pub mod conformal;
pub mod error;
pub mod estimate;
pub mod evaluation;
pub mod forecast;
pub mod forest;
mod grown;
pub mod metrics;
pub mod sample;
pub mod split;

pub use conformal::{Residual, conformal_intervals};
pub use error::TrainError;
pub use estimate::{EstimateSpec, TrainedEstimate, train_estimate};
pub use evaluation::{Baseline, Evaluation};
pub use forecast::{ForecastSpec, TrainedForecast, train_forecast};
pub use forest::{ForestParams, GrowError, grow_forest};
pub use metrics::regression_metrics;
pub use sample::{sample_ascending, step_across};
pub use split::{cut_at_share, rows_before};
