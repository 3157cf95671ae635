//! The pages as a browser without scripts sees them.

mod anomalies;
mod assets;
mod benchmarks;
mod dashboard;
mod html;
mod predict;

mod system;
