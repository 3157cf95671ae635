//! Metrics of the serving layer.

use std::time::Duration;

use kilowatch_shared::{position::StreamName, verification::Verification};

const REQUESTS: &str = "kilowatch_http_requests_total";
const REQUEST_DURATION: &str = "kilowatch_http_request_duration_seconds";
const READINGS: &str = "kilowatch_http_readings_total";
const VERIFY_DIFFERING: &str = "kilowatch_verify_differing";
const VERIFY_UNPROVED: &str = "kilowatch_verify_unproved_partitions";
const VERIFIED_AT: &str = "kilowatch_verify_timestamp_seconds";

/// Says what each metric means.
pub(crate) fn describe() {
    metrics::describe_counter!(REQUESTS, "requests answered, by route and status");
    metrics::describe_histogram!(REQUEST_DURATION, "from a request's head to its answer's head, by route");
    metrics::describe_counter!(READINGS, "readings posted, by stream and outcome");
    metrics::describe_gauge!(VERIFY_DIFFERING, "differences that the last verification of a stream found");
    metrics::describe_gauge!(VERIFY_UNPROVED, "partitions that the last verification of a stream could not replay");
    metrics::describe_gauge!(VERIFIED_AT, "when the last verification of a stream ended");
}

/// Counts and times a request.
pub(crate) fn request_answered(route: String, status: u16, took: Duration) {
    metrics::counter!(REQUESTS, "route" => route.clone(), "status" => status.to_string()).increment(1);
    metrics::histogram!(REQUEST_DURATION, "route" => route).record(took.as_secs_f64());
}

/// Counts the readings of one request.
pub(crate) fn readings_posted(stream: &StreamName, accepted: usize, rejected: usize) {
    for (outcome, readings) in [("accepted", accepted), ("rejected", rejected)] {
        metrics::counter!(READINGS, "stream" => stream.to_string(), "outcome" => outcome).increment(readings as u64);
    }
}

/// Says what the last verification of a stream found.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and exact up to 2^53")]
pub(crate) fn verified(verification: &Verification) {
    let stream = verification.stream.to_string();
    metrics::gauge!(VERIFY_DIFFERING, "stream" => stream.clone()).set(verification.differing as f64);
    metrics::gauge!(VERIFY_UNPROVED, "stream" => stream.clone()).set(verification.unproved as f64);
    metrics::gauge!(VERIFIED_AT, "stream" => stream).set(verification.verified_at.timestamp() as f64);
}
