//! Metrics in the Prometheus text format.

mod render;

pub(crate) use render::render_metrics;
