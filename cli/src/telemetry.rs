//! Logs to standard error, readable on a terminal and JSON otherwise; metrics for Prometheus.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt};

/// Seconds. An answer out of the views takes a few milliseconds; past ten seconds nobody waits any more. Buckets and not
/// quantiles: those of several replicas can be added up.
const REQUEST_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Seconds. A micro-batch is 50 ms to 10 minutes long, and what it takes includes waiting for its end.
const BATCH_BUCKETS: [f64; 12] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 60.0, 600.0];

/// Seconds. A transaction takes milliseconds at a healthy PostgreSQL.
const APPLY_BUCKETS: [f64; 12] = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Seconds. Shorter than the shortest micro-batch at one end; at the other a member that works off an hour's backlog.
const LATENCY_BUCKETS: [f64; 14] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0];

/// Starts logging what `filter` lets through.
///
/// # Errors
/// Directives that cannot be understood.
pub fn init(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .with_context(|| format!("log_filter = {filter:?}: must be directives such as `warn,kilowatch_speed=debug`"))?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.compact().with_target(false).init();
    } else {
        builder.json().flatten_event(true).init();
    }
    Ok(())
}

/// Records metrics from now on; the handle renders them.
///
/// # Errors
/// Another recorder is there already.
pub fn record_metrics() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("kilowatch_http_request_duration_seconds".to_owned()), &REQUEST_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full("kilowatch_speed_batch_seconds".to_owned()), &BATCH_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full("kilowatch_speed_apply_seconds".to_owned()), &APPLY_BUCKETS)?
        .set_buckets_for_metric(
            Matcher::Full("kilowatch_speed_end_to_end_latency_seconds".to_owned()),
            &LATENCY_BUCKETS,
        )?
        .install_recorder()
}
