//! Metrics of the serving layer.

use std::time::Duration;

use kilowatch_shared::position::StreamName;

const REQUESTS: &str = "kilowatch_http_requests_total";
const REQUEST_DURATION: &str = "kilowatch_http_request_duration_seconds";
const READINGS: &str = "kilowatch_http_readings_total";

/// Says what each metric means.
pub(crate) fn describe() {
    metrics::describe_counter!(REQUESTS, "requests answered, by route and status");
    metrics::describe_histogram!(REQUEST_DURATION, "from a request's head to its answer's head, by route");
    metrics::describe_counter!(READINGS, "readings posted, by stream and outcome");
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
