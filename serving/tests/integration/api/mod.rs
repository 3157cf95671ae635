//! The JSON routes, one module a path of the URL tree.

mod anomalies;
mod benchmarks;
mod counts;
mod dead_letters;
mod devices;
mod forecasts;
mod jobs;
mod model_info;
mod model_swaps;
mod position_changes;
mod predict;
mod readings;
mod reload_model;
mod streams;
mod usage;
