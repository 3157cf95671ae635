//! Counters, and one event a batch. Nothing here is called per message.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use kilowatch_shared::position::{PartitionId, StreamName};

use crate::member::BatchReport;

/// Says what the metrics mean; called once, when the layer starts.
pub(crate) fn describe() {
    metrics::describe_counter!("kilowatch_speed_records_consumed_total", "messages whose effects are in the views");
    metrics::describe_counter!("kilowatch_speed_duplicates_total", "readings that repeated an earlier one");
    metrics::describe_counter!("kilowatch_speed_anomalies_total", "anomalies by detector and severity");
    metrics::describe_counter!("kilowatch_speed_dead_letters_total", "messages that became no reading, by reason");
    metrics::describe_counter!("kilowatch_speed_fenced_total", "times that another member took a partition over");
    metrics::describe_counter!("kilowatch_speed_owner_changes_total", "times that this member took a partition over");
    metrics::describe_histogram!(
        "kilowatch_speed_end_to_end_latency_seconds",
        "from the log's timestamp of a message to its effects in the views, a sample of up to 256 a micro-batch"
    );
    metrics::describe_histogram!("kilowatch_speed_batch_seconds", "from a micro-batch's first message to its commit");
    metrics::describe_histogram!("kilowatch_speed_apply_seconds", "a micro-batch's transaction, its commit included");
    metrics::describe_gauge!("kilowatch_speed_lag_records", "messages in the log that are not applied");
    metrics::describe_gauge!("kilowatch_speed_lag_seconds", "age of the oldest message that is not applied");
    metrics::describe_gauge!("kilowatch_speed_segment_age_seconds", "age of the open segment");
    metrics::describe_gauge!("kilowatch_speed_outbox_entries", "entries that the sink does not have yet");
    metrics::describe_counter!("kilowatch_speed_outbox_delivered_total", "entries that the sink acknowledged");
    metrics::describe_counter!("kilowatch_speed_outbox_failures_total", "deliveries that have to be tried again");
    metrics::describe_gauge!("kilowatch_speed_unclosed_cuts", "cuts that the lake does not hold yet");
    metrics::describe_gauge!("kilowatch_speed_unclosed_bytes", "rows in memory that the lake does not hold yet");
    metrics::describe_counter!("kilowatch_speed_close_failures_total", "closes that have to be tried again");
    metrics::describe_gauge!("kilowatch_speed_failing_closes", "closes that the lake did not take when last tried");
    metrics::describe_gauge!(
        "kilowatch_speed_stream_waits",
        "1 while a whole stream waits for its start, its group or its log; /readyz says why"
    );
}

/// Notes how long the transaction of a micro-batch took.
pub(crate) fn transaction(stream: &StreamName, took: Duration) {
    metrics::histogram!("kilowatch_speed_apply_seconds", "stream" => stream.as_str().to_owned())
        .record(took.as_secs_f64());
}

/// Counts an applied micro-batch.
pub(crate) fn batch_applied(partition: &PartitionId, report: &BatchReport, took: Duration, now: DateTime<Utc>) {
    let stream = || partition.stream.as_str().to_owned();
    let latency = metrics::histogram!("kilowatch_speed_end_to_end_latency_seconds", "stream" => stream());
    report.log_times.ages_secs(now).for_each(|age| latency.record(age));
    let counts = &report.effects.counts;
    metrics::counter!("kilowatch_speed_records_consumed_total", "stream" => stream()).increment(counts.total());
    metrics::counter!("kilowatch_speed_duplicates_total", "stream" => stream()).increment(counts.duplicates);
    metrics::histogram!("kilowatch_speed_batch_seconds", "stream" => stream()).record(took.as_secs_f64());

    let mut anomalies: BTreeMap<(&str, &'static str), u64> = BTreeMap::new();
    for anomaly in &report.effects.anomalies {
        *anomalies.entry((&anomaly.verdict.detector, anomaly.verdict.severity.as_str())).or_default() += 1;
    }
    for ((detector, severity), count) in anomalies {
        let labels = [("stream", stream()), ("detector", detector.to_owned()), ("severity", severity.to_owned())];
        metrics::counter!("kilowatch_speed_anomalies_total", &labels).increment(count);
    }
    let mut dead: BTreeMap<&'static str, u64> = BTreeMap::new();
    for letter in &report.effects.dead_letters {
        *dead.entry(reason_class(&letter.reason)).or_default() += 1;
    }
    for (reason, count) in dead {
        metrics::counter!("kilowatch_speed_dead_letters_total", "stream" => stream(), "reason" => reason)
            .increment(count);
    }
    tracing::debug!(
        stream = %partition.stream, partition = partition.partition,
        batch.from = report.span.from.get(), batch.to = report.span.to.get(),
        batch.readings = counts.readings, batch.duplicates = counts.duplicates,
        batch.dead_letters = counts.dead_letters, batch.anomalies = report.effects.anomalies.len(),
        batch.cut = report.effects.cut.is_some(), batch.took_ms = took.as_millis(),
        "applied a batch"
    );
}

/// Sets the gauges of a partition.
pub(crate) fn gauges(partition: &PartitionId, lag_records: Option<u64>, segment_age: Duration) {
    let labels = labels(partition);
    #[expect(clippy::cast_precision_loss, reason = "a gauge of more than 2^53 messages is as good rounded")]
    if let Some(lag) = lag_records {
        metrics::gauge!("kilowatch_speed_lag_records", &labels).set(lag as f64);
    }
    metrics::gauge!("kilowatch_speed_segment_age_seconds", &labels).set(segment_age.as_secs_f64());
}

/// Says how much of a partition waits for the lake.
#[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^53 cuts, or bytes in memory")]
pub(crate) fn unclosed(partition: &PartitionId, cuts: usize, bytes: usize) {
    let labels = labels(partition);
    metrics::gauge!("kilowatch_speed_unclosed_cuts", &labels).set(cuts as f64);
    metrics::gauge!("kilowatch_speed_unclosed_bytes", &labels).set(bytes as f64);
}

/// Counts a close that did not go through.
pub(crate) fn close_failed(stream: &StreamName) {
    metrics::counter!("kilowatch_speed_close_failures_total", "stream" => stream.as_str().to_owned()).increment(1);
}

/// Says how many closes of a stream are tried again.
#[expect(clippy::cast_precision_loss, reason = "there are at most as many closes as partitions")]
pub(crate) fn closes_that_fail(stream: &StreamName, closes: usize) {
    metrics::gauge!("kilowatch_speed_failing_closes", "stream" => stream.as_str().to_owned()).set(closes as f64);
}

fn labels(partition: &PartitionId) -> [(&'static str, String); 2] {
    [("stream", partition.stream.as_str().to_owned()), ("partition", partition.partition.to_string())]
}

/// Says whether a whole stream waits, and for what.
pub(crate) fn stream_waits(stream: &StreamName, what: &'static str, waits: bool) {
    let labels = [("stream", stream.as_str().to_owned()), ("for", what.to_owned())];
    metrics::gauge!("kilowatch_speed_stream_waits", &labels).set(f64::from(u8::from(waits)));
}

/// Counts a claim.
pub(crate) fn claimed(partition: &PartitionId) {
    metrics::counter!("kilowatch_speed_owner_changes_total", "stream" => partition.stream.as_str().to_owned())
        .increment(1);
}

/// Sets the gauge of how late a partition is, where that is known.
pub(crate) fn lag_age(partition: &PartitionId, age: Option<Duration>) {
    if let Some(age) = age {
        metrics::gauge!("kilowatch_speed_lag_seconds", &labels(partition)).set(age.as_secs_f64());
    }
}

/// Counts a lost ownership.
pub(crate) fn fenced(partition: &PartitionId) {
    metrics::counter!("kilowatch_speed_fenced_total", "stream" => partition.stream.as_str().to_owned()).increment(1);
}

/// Says how many entries of a stream wait in the outbox.
pub(crate) fn outbox_entries(stream: &StreamName, entries: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge of more than 2^53 entries is as good rounded")]
    metrics::gauge!("kilowatch_speed_outbox_entries", "stream" => stream.as_str().to_owned()).set(entries as f64);
}

/// Counts entries that the sink acknowledged.
pub(crate) fn outbox_delivered(stream: &StreamName, entries: usize) {
    metrics::counter!("kilowatch_speed_outbox_delivered_total", "stream" => stream.as_str().to_owned())
        .increment(entries as u64);
}

/// Counts a delivery that did not go through.
pub(crate) fn outbox_failed(stream: &StreamName) {
    metrics::counter!("kilowatch_speed_outbox_failures_total", "stream" => stream.as_str().to_owned()).increment(1);
}

/// A label has few values, a reason is a sentence for a person.
fn reason_class(reason: &str) -> &'static str {
    const CLASSES: [(&str, &str); 7] = [
        ("a tombstone", "tombstone"),
        ("the payload is empty", "empty"),
        ("the payload has ", "too_large"),
        ("the payload is not UTF-8", "not_utf8"),
        ("the payload is not JSON", "not_json"),
        ("the payload is not a JSON object", "not_an_object"),
        ("field ", "field"),
    ];
    CLASSES.into_iter().find(|(start, _)| reason.starts_with(start)).map_or("other", |(_, class)| class)
}

#[cfg(test)]
mod tests {
    use kilowatch_shared::stream::DecodeError;

    use super::*;

    #[test]
    fn each_way_to_fail_in_decoding_has_a_class_of_its_own() {
        let not_json = DecodeError::NotJson { reason: "x".to_owned() };
        let not_an_object = DecodeError::NotAnObject { found: "a list" };
        let missing = DecodeError::MissingField { field: "f".into(), fix: "send it" };
        let errors = [
            DecodeError::Tombstone,
            DecodeError::Empty,
            DecodeError::TooLarge { size_bytes: 1 },
            DecodeError::NotUtf8 { byte: 0 },
            not_json,
            not_an_object,
            missing,
        ];
        let classes: std::collections::BTreeSet<_> = errors.iter().map(|e| reason_class(&e.to_string())).collect();
        assert_eq!(classes.len(), errors.len(), "{classes:?}");
        assert!(!classes.contains("other"));
    }
}
