//! Metrics in the Prometheus text format.

mod render;

pub(crate) use render::{describe_metrics, render_metrics};
