//! Learning from rows, free of I/O: the same rows, parameters and seed give the same model, to the last bit.
//!
//! [`crate::features`] -[`split`]-> past and future; [`forest`] grows on the past (`grown` takes smartcore's trees over),
//! [`metrics`] says what its predictions of the future are worth, [`conformal`] how far off they were.
//! [`sample`] draws rows where there are more than are needed.

pub mod conformal;
pub mod forest;
mod grown;
pub mod metrics;
pub mod sample;
pub mod split;

pub use conformal::{Residual, conformal_intervals};
pub use forest::{ForestParams, GrowError, grow_forest};
pub use metrics::regression_metrics;
pub use sample::{sample_ascending, step_across};
pub use split::{cut_at_share, rows_before};
